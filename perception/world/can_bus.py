"""Messages of the vehicle's CAN bus, as the nuScenes CAN bus expansion has them.

Files ``can_bus/<scene>_<message>.json`` with these messages, which the official ``NuScenesCanBus`` reads:

- ``pose``, 50 Hz: position (m, global frame), orientation, velocity (m/s), acceleration (m/s^2, of an accelerometer,
  which feels gravity) and rotation rate (rad/s) in the ego frame;
- ``steeranglefeedback``, 100 Hz: angle of the steering wheel, radians, to the right;
- ``zoe_veh_info``, 100 Hz: wheel speeds (rpm), speed (km/h), accelerations, pedal, steering wheel (degrees, to the
  left);
- ``vehicle_monitor``, 2 Hz: speed (km/h), wheel speeds (rpm), yaw rate (degrees/s, to the left), pedals, indicators;
- ``route``: the way driven, points in the global frame; ``meta``: statistics of the others.

All follow from the ego's motion by the kinematics of a car with the wheelbase of the Renault Zoe of nuScenes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from perception.geometry.frames import quaternion_from_rotation
from perception.world.scene import Scene

Messages = list[dict[str, Any]]

LEAD_S = 0.5
"""Messages begin this long before the first instant of a scene."""
STEP_S = 0.01
GRAVITY_MPS2 = 9.81
WHEELBASE_M = 2.588
TRACK_M = 1.51
WHEEL_CIRCUMFERENCE_M = 1.98
STEERING_RATIO = 15.2
"""Turn of the steering wheel for a turn of the front wheels."""
STEERING_LIMIT_DEG = 779.0
DRAG_MPS2 = 0.25
"""Deceleration of a rolling car, which the throttle makes up for."""
STRONGEST_MPS2 = 3.5
"""Acceleration at full throttle."""
BRAKE_BAR_PER_MPS2 = 8.0
TURN_SIGNAL_RADPS = 0.12
"""Yaw rate from which a slow car shows that it turns."""
TURN_SIGNAL_MPS = 8.0
NOMINAL = {"available_distance": 205.0, "battery_level": 87.0}


@dataclass(frozen=True)
class _Motion:
    """The ego's motion every :data:`STEP_S`; ``T`` instants.

    Shape:
        - times_s: ``(T,)``; pose: ``(T, 4, 4)``; velocity, acceleration, rotation_rate: ``(T, 3)``, ego frame.
    """

    times_s: np.ndarray
    pose: np.ndarray
    velocity: np.ndarray
    acceleration: np.ndarray
    rotation_rate: np.ndarray

    @property
    def steering(self) -> np.ndarray:
        """``(T,)`` angle of the steering wheel in radians, to the left."""
        speed = np.maximum(self.velocity[:, 0], 0.5)  # standing, one sees no curvature
        angle = np.arctan(WHEELBASE_M * self.rotation_rate[:, 2] / speed) * STEERING_RATIO
        limit = np.radians(STEERING_LIMIT_DEG)
        return np.clip(np.where(self.velocity[:, 0] > 0.5, angle, 0.0), -limit, limit)


def can_messages(scene: Scene, start_us: int) -> dict[str, Any]:
    """Messages by file, from :data:`LEAD_S` before the scene's first instant to its end.

    Args:
        start_us: timestamp of the scene's first instant.
    """
    motion = _motion(scene)
    utime = [start_us + round(float(time) * 1e6) for time in motion.times_s]
    messages: dict[str, Any] = {
        "pose": _pose(motion, utime)[::2],
        "steeranglefeedback": [
            {"utime": at, "value": float(-angle)} for at, angle in zip(utime, motion.steering, strict=True)
        ],
        "zoe_veh_info": _vehicle_info(motion, utime),
        "vehicle_monitor": _monitor(motion, utime)[::50],
    }
    messages["meta"] = {name: _statistics(rows) for name, rows in messages.items()}
    messages["route"] = motion.pose[::2, :2, 3].tolist()
    return messages


def _motion(scene: Scene) -> _Motion:
    times = np.arange(round(-LEAD_S / STEP_S), round(scene.duration_s / STEP_S) + 1) * STEP_S
    beyond = np.concatenate([[times[0] - STEP_S], times, [times[-1] + STEP_S]])
    pose = np.stack([scene.global_from_ego(float(time)) for time in beyond])  # (T + 2, 4, 4)
    velocity = (pose[2:, :3, 3] - pose[:-2, :3, 3]) / (2 * STEP_S)  # (T, 3) global
    rotation = pose[1:-1, :3, :3]
    turn = np.einsum("tji,tjk->tik", pose[:-2, :3, :3], pose[2:, :3, :3])  # over two steps
    rate = np.stack([turn[:, 2, 1] - turn[:, 1, 2], turn[:, 0, 2] - turn[:, 2, 0], turn[:, 1, 0] - turn[:, 0, 1]], 1)
    acceleration = np.gradient(velocity, STEP_S, axis=0) if len(times) > 1 else np.zeros_like(velocity)
    acceleration[:, 2] += GRAVITY_MPS2
    return _Motion(
        times,
        pose[1:-1],
        np.einsum("tji,tj->ti", rotation, velocity),
        np.einsum("tji,tj->ti", rotation, acceleration),
        rate / 2 / (2 * STEP_S),
    )


def _pose(motion: _Motion, utime: list[int]) -> Messages:
    return [
        {
            "accel": motion.acceleration[k].tolist(),
            "orientation": quaternion_from_rotation(motion.pose[k, :3, :3]).tolist(),
            "pos": motion.pose[k, :3, 3].tolist(),
            "rotation_rate": motion.rotation_rate[k].tolist(),
            "utime": at,
            "vel": motion.velocity[k].tolist(),
        }
        for k, at in enumerate(utime)
    ]


def _pedals(motion: _Motion) -> tuple[np.ndarray, np.ndarray]:
    """``(T,)`` throttle, 0 to 1000, and ``(T,)`` brake pressure in bar, both whole numbers."""
    wanted = motion.acceleration[:, 0] + np.where(motion.velocity[:, 0] > 0.1, DRAG_MPS2, 0.0)
    throttle = np.clip(wanted / STRONGEST_MPS2, 0, 1) * 1000
    standing = np.where(motion.velocity[:, 0] < 0.1, 8.0, 0.0)
    brake = np.clip(np.maximum(-wanted * BRAKE_BAR_PER_MPS2, standing), 0, 126)
    return throttle.round().astype(int), brake.round().astype(int)


def _wheels(motion: _Motion) -> dict[str, np.ndarray]:
    """``(T,)`` revolutions per minute of each wheel."""
    rate = motion.rotation_rate[:, 2]
    sides = {"L": -rate * TRACK_M / 2, "R": rate * TRACK_M / 2}
    wheels = {}
    for side, more in sides.items():
        rear = motion.velocity[:, 0] + more
        wheels[f"R{side}"] = rear * 60 / WHEEL_CIRCUMFERENCE_M
        wheels[f"F{side}"] = np.hypot(rear, rate * WHEELBASE_M) * 60 / WHEEL_CIRCUMFERENCE_M
    return wheels


def _monitor(motion: _Motion, utime: list[int]) -> Messages:
    throttle, brake = _pedals(motion)
    wheels = _wheels(motion)
    steering = np.degrees(motion.steering)
    steering_speed = np.gradient(steering, STEP_S) if len(utime) > 1 else np.zeros_like(steering)
    rate, speed = motion.rotation_rate[:, 2], motion.velocity[:, 0]
    slow = (speed > 0.5) & (speed < TURN_SIGNAL_MPS)
    return [
        {
            **NOMINAL,
            "brake": int(brake[k]),
            "brake_switch": 3 if brake[k] > 10 else 2 if brake[k] > 0 else 1,
            "gear_position": 7,
            "left_signal": int(slow[k] and rate[k] > TURN_SIGNAL_RADPS),
            "rear_left_rpm": round(float(wheels["RL"][k]), 4),
            "rear_right_rpm": round(float(wheels["RR"][k]), 4),
            "right_signal": int(slow[k] and rate[k] < -TURN_SIGNAL_RADPS),
            "steering": round(float(steering[k]), 1),
            "steering_speed": round(float(np.clip(steering_speed[k], -465, 393)), 1),
            "throttle": int(throttle[k]),
            "utime": at,
            "vehicle_speed": round(float(abs(speed[k])) * 3.6, 2),
            "yaw_rate": round(float(np.degrees(rate[k])), 1),
        }
        for k, at in enumerate(utime)
    ]


def _vehicle_info(motion: _Motion, utime: list[int]) -> Messages:
    throttle, _ = _pedals(motion)
    wheels = _wheels(motion)
    steering = np.degrees(motion.steering)
    driven = np.cumsum(motion.velocity[:, 0]) * STEP_S * 100  # cm
    return [
        {
            **{f"{wheel}_wheel_speed": round(float(rpm[k]), 3) for wheel, rpm in wheels.items()},
            "longitudinal_accel": round(float(motion.acceleration[k, 0]), 2),
            "odom": int(driven[k] % 125),
            "odom_speed": round(float(abs(motion.velocity[k, 0])) * 3.6, 2),
            "pedal_cc": int(throttle[k]),
            "steer_corrected": round(float(steering[k]), 1),
            "steer_offset_can": 0.0,
            "steer_raw": round(float(steering[k]), 1),
            "transversal_accel": round(float(motion.acceleration[k, 1]) / GRAVITY_MPS2, 3),
            "utime": at,
        }
        for k, at in enumerate(utime)
    ]


def _statistics(rows: Messages) -> dict[str, Any]:
    """What the official meta file says of a message."""
    timespan_s = (rows[-1]["utime"] - rows[0]["utime"]) / 1e6
    spread: dict[str, Any] = {}
    for key in rows[0]:
        values = np.array([row[key] for row in rows], np.float64)
        changes = np.diff(values, axis=0) if len(values) > 1 else np.zeros_like(values)
        spread[key] = {
            f"{prefix}{name}": getattr(of, name)(axis=0).tolist()
            for prefix, of in (("", values), ("diff_", changes))
            for name in ("max", "mean", "min", "std")
        }
    return {
        "message_count": len(rows),
        "message_freq": (len(rows) - 1) / timespan_s if timespan_s else 0.0,
        "timespan": timespan_s,
        "var_stats": spread,
    }
