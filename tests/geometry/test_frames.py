"""Rigid transforms against scipy's rotations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from perception.geometry.frames import (
    apply,
    inverse,
    quaternion_from_rotation,
    rotation_from_quaternion,
    transform,
    yaw_rotation,
)

coordinate = st.floats(-1, 1)
quaternions = st.tuples(*[coordinate] * 4).filter(lambda q: np.linalg.norm(q) > 0.1).map(np.array)
vectors = st.tuples(*[st.floats(-100, 100)] * 3).map(np.array)


@given(quaternions)
def test_rotation_of_a_quaternion(wxyz):
    expected = Rotation.from_quat(np.roll(wxyz, -1)).as_matrix()
    np.testing.assert_allclose(rotation_from_quaternion(wxyz), expected, atol=1e-12)


@given(quaternions)
def test_quaternion_of_a_rotation(wxyz):
    unit = wxyz / np.linalg.norm(wxyz)
    found = quaternion_from_rotation(rotation_from_quaternion(wxyz))
    assert found[0] >= 0
    np.testing.assert_allclose(abs(found @ unit), 1, atol=1e-9)  # the same up to sign


@given(quaternions, vectors, quaternions, vectors)
def test_transforms_chain_and_invert(q1, t1, q2, t2):
    a_from_b, b_from_c = transform(t1, q1), transform(t2, rotation_from_quaternion(q2))
    points = np.array([[1.0, 2.0, 3.0], [-4.0, 0.5, 9.0]])
    in_b = Rotation.from_quat(np.roll(q2, -1)).apply(points) + t2
    in_a = Rotation.from_quat(np.roll(q1, -1)).apply(in_b) + t1
    np.testing.assert_allclose(apply(a_from_b @ b_from_c, points), in_a, atol=1e-9)
    np.testing.assert_allclose(inverse(a_from_b) @ a_from_b, np.eye(4), atol=1e-9)


def test_yaw_is_counter_clockwise_and_broadcasts():
    np.testing.assert_allclose(yaw_rotation(np.pi / 2) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    angles = np.array([[0.1, -2.0, 3.0]])
    expected = Rotation.from_euler("z", angles.reshape(3, 1)).as_matrix().reshape(1, 3, 3, 3)
    np.testing.assert_allclose(yaw_rotation(angles), expected, atol=1e-12)


@pytest.mark.parametrize("wxyz", [[0, 0, 0, 0], [1, 0, 0], [np.nan, 0, 0, 1]])
def test_what_is_no_rotation_is_refused(wxyz):
    with pytest.raises(ValueError, match="not a rotation quaternion"):
        rotation_from_quaternion(np.array(wxyz))
