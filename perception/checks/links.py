"""Whether every token of the tables leads to a record, and every chain of records is whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence

from perception.checks.report import Report
from perception.checks.tables import Record, Tables
from perception.datasets.quarantine import Broken

TOKENS, CHAINS, ENDS = "tokens", "chains", "first and last"

REFERENCES: dict[str, dict[str, str]] = {
    "calibrated_sensor": {"sensor_token": "sensor"},
    "instance": {"category_token": "category"},
    "lidarseg": {"sample_data_token": "sample_data"},
    "map": {"log_tokens": "log"},
    "sample": {"scene_token": "scene"},
    "sample_annotation": {
        "sample_token": "sample",
        "instance_token": "instance",
        "visibility_token": "visibility",
        "attribute_tokens": "attribute",
    },
    "sample_data": {
        "sample_token": "sample",
        "ego_pose_token": "ego_pose",
        "calibrated_sensor_token": "calibrated_sensor",
    },
    "scene": {"log_token": "log"},
}
"""Fields that hold tokens of another table. Those of a scene's samples and an instance's annotations come under
:data:`ENDS`."""


def check_references(tables: Tables, report: Report, fields: dict[str, dict[str, str]]) -> None:
    """Every token in the fields is that of a record of the table that they name."""
    for table, references in fields.items():
        rows = tables.rows.get(table, [])
        for name, target in references.items():
            if target in tables.unreadable:
                continue
            known = tables.tokens[target]
            optional = name == "visibility_token"
            for row in rows:
                value = row[name]
                tokens = value if isinstance(value, list) else [value]
                report.count(TOKENS, len(tokens))
                for token in tokens:
                    if token not in known and (token or not optional):
                        reason = f"{name} {token!r} is no record of {target}"
                        report.add(_broken(TOKENS, tables, table, row, reason))


def check_tokens(tables: Tables, report: Report) -> None:
    """Every token that a record holds is that of a record, and every log has a map."""
    check_references(tables, report, REFERENCES)
    mapped = {token for row in tables.rows["map"] for token in row["log_tokens"]}
    if "map" not in tables.unreadable:
        for row in tables.rows["log"]:
            if row["token"] not in mapped:
                report.add(_broken(TOKENS, tables, "log", row, "no record of map names the log"))


def check_chains(tables: Tables, report: Report) -> None:
    """``prev`` and ``next`` of samples, measurements and annotations agree and join all of a scene, a channel of a
    scene, or an instance."""
    for table, group in GROUPS.items():
        report.count(CHAINS, len(tables.rows[table]))
        chains = _Chains(tables, table, group, report)
        chains.check_links()
        chains.check_whole()


def _measurement_group(tables: Tables, row: Record) -> Hashable:
    scene, sensor = tables.scene_of(row), row["calibrated_sensor_token"]
    return (scene, sensor) if scene and sensor in tables.tokens["calibrated_sensor"] else None


GROUPS: dict[str, Callable[[Tables, Record], Hashable]] = {
    "sample": lambda tables, row: row["scene_token"] if row["scene_token"] in tables.tokens["scene"] else None,
    "sample_data": _measurement_group,
    "sample_annotation": lambda tables, row: (
        row["instance_token"] if row["instance_token"] in tables.tokens["instance"] else None
    ),
}
"""What all records of a chain share; ``None`` where a broken token hides it."""
OTHER_WAY = {"next": "prev", "prev": "next"}


class _Chains:
    """The chains of one table. Each broken link is laid to the record that is more likely to be at fault."""

    def __init__(self, tables: Tables, table: str, group: Callable[[Tables, Record], Hashable], report: Report) -> None:
        self.tables, self.table, self.report = tables, table, report
        self.rows, self.index, self.known = tables.rows[table], tables.index[table], tables.tokens[table]
        self.groups = {row["token"]: group(tables, row) for row in self.rows}
        self.blamed: set[str] = set()

    def blame(self, row: Record, reason: str) -> None:
        if row["token"] not in self.blamed:
            self.blamed.add(row["token"])
            self.report.add(_broken(CHAINS, self.tables, self.table, row, reason))

    def apart(self, a: Record, b: Record) -> bool:
        """Whether two records cannot be of one chain."""
        groups = self.groups[a["token"]], self.groups[b["token"]]
        return None not in groups and groups[0] != groups[1]

    def check_links(self) -> None:
        """Links lead to a record that leads back, of the same group."""
        one_way: list[tuple[Record, str, Record]] = []
        disputes: list[tuple[Record, Record]] = []
        for row in self.rows:
            for link, back in OTHER_WAY.items():
                token = row[link]
                if not token:
                    continue
                other = self.index.get(token)
                if token not in self.known or token == row["token"]:
                    self.blame(row, f"{link} {token!r} is no other record of {self.table}")
                elif other is None:
                    continue  # a record without all of its fields, which is reported
                elif other[back] != row["token"]:
                    third = self.index.get(other[back])
                    if third is not None and third[link] == token:
                        self.blame(row, f"{link} is {token!r}, but its {back} is {other[back]!r}")
                    else:
                        one_way.append((row, link, other))
                elif self.apart(row, other):
                    disputes.append((row, other))
        for row, link, other in one_way:
            if self.blamed & {row["token"], other["token"]}:
                continue
            if self.apart(row, other):
                self.blame(row, f"{link} {other['token']!r} belongs to another chain")
            else:
                back = OTHER_WAY[link]
                self.blame(other, f"{back} is {other[back]!r}, but {row['token']!r} names it as {link}")
        self._settle(disputes)

    def _settle(self, disputes: list[tuple[Record, Record]]) -> None:
        """A record that disagrees with both neighbours about their group is in the wrong one."""
        votes = Counter(row["token"] for pair in disputes for row in pair)
        for pair in disputes:
            most = max(votes[row["token"]] for row in pair)
            for row in pair:
                if votes[row["token"]] == most:
                    self.blame(row, "its neighbours in the chain are of another scene, sensor or instance")

    def check_whole(self) -> None:
        """Each group is one chain: a second head starts another, and what no head leads to runs in a circle."""
        heads: dict[Hashable, Record] = {}
        reached: set[str] = set()
        for row in self.rows:
            before = row["prev"]
            if before in self.index and before not in self.blamed:
                continue
            key = self.groups[row["token"]]
            if not before and key is not None and row["token"] not in self.blamed:
                first = heads.setdefault(key, row)
                if first is not row:
                    self.blame(row, f"prev is empty, but {first['token']!r} is the first of the same chain")
            at: Record | None = row
            while at is not None and at["token"] not in reached:
                reached.add(at["token"])
                at = self.index.get(at["next"])
        for row in self.rows:
            if row["token"] not in reached:
                self.blame(row, "the chain runs in a circle")


def check_ends(tables: Tables, report: Report) -> None:
    """First and last tokens and counts of scenes and instances; a wrong one leaves the record usable."""
    plans = (
        ("scene", "sample", "scene_token", "first_sample_token", "last_sample_token", "nbr_samples"),
        ("instance", "sample_annotation", "instance_token", "first_annotation_token", "last_annotation_token",
         "nbr_annotations"),
    )  # fmt: skip
    for table, of, name, first, last, number in plans:
        if of in tables.unreadable:
            continue
        members: dict[str, list[Record]] = {}
        for row in tables.rows[of]:
            members.setdefault(row[name], []).append(row)
        report.count(ENDS, len(tables.rows[table]))
        for row in tables.rows[table]:
            for reason in _ends(members.get(row["token"], []), row, of, first, last, number):
                report.add(_broken(ENDS, tables, table, row, reason, leave_out=False))


def _ends(members: Sequence[Record], row: Record, of: str, first: str, last: str, number: str) -> list[str]:
    reasons = []
    if len(members) != row[number]:
        reasons.append(f"{number} is {row[number]}, but it has {len(members)} of {of}")
    for name, link in ((first, "prev"), (last, "next")):
        ends = [member["token"] for member in members if not member[link]]
        if row[name] not in ends and ends:
            reasons.append(f"{name} {row[name]!r} is not the end of its chain")
    return reasons


def _broken(check: str, tables: Tables, table: str, row: Record, reason: str, leave_out: bool = True) -> Broken:
    measured = table == "sample_data"
    return Broken(
        check, table, row["token"], reason,
        channel=tables.channel(row) if measured else "",
        file=row["filename"] if measured else "",
        leave_out=leave_out,
    )  # fmt: skip
