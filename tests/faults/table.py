"""Every fault that is made for real in these tests, with what is told of it and what becomes of the work: the page on durability shows this table.

A row is checked word for word by `test_faults.py`: `cli` and `mcp` are the codes that a request to read and one to write are answered with (an empty
one is answered as always), `doctor` the codes of its findings.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. `mended_by` says what a person does, and the test does it; `lost` is what is gone then."""

    name: str
    reading: str = ""
    writing: str = ""
    mcp_reading: str | None = None
    mcp_writing: str | None = None
    doctor: tuple[str, ...] = ()
    lost: str = "nothing"
    mended_by: str

    @property
    def mcp(self) -> tuple[str, str]:
        """Give the codes over MCP, which are those of the terminal unless they are said."""
        reading = self.reading if self.mcp_reading is None else self.mcp_reading
        return reading, self.writing if self.mcp_writing is None else self.mcp_writing


FAULTS = {
    "size_limit": Fault(
        name="limit on the size of files", writing="storage_io", mended_by="raising it (`ulimit -f`)",
    ),
    "read_only_files": Fault(
        name="files that may only be read", reading="storage_read_only", writing="storage_read_only", doctor=("read_only", "storage_read_only"),
        mended_by="`chmod u+w`, as doctor writes it",
    ),
    "read_only_folder": Fault(
        name="folder that may only be read", doctor=("read_only",), mended_by="`chmod u+w`; until then all goes on in the files that are there",
    ),
    "unreadable_folder": Fault(
        name="folder that may not be entered", reading="storage_read_only", writing="storage_read_only",
        doctor=("unreadable", "storage_read_only"), mended_by="`chmod u+rwx`, as doctor writes it",
    ),
    "damaged_page": Fault(
        name="damaged pages", reading="storage_damaged", writing="storage_damaged", doctor=("file_damaged", "storage_damaged"),
        lost="what is not in the backup", mended_by="restoring the file",
    ),
    "damaged_value": Fault(
        name="damaged value beside the database", reading="blob_damaged", writing="", doctor=("blob_damaged",),
        lost="nothing, if the value is restored; other runs go on", mended_by="restoring that file",
    ),
    "missing_value": Fault(
        name="missing value beside the database", reading="blob_missing", writing="", doctor=("blob_missing",),
        lost="nothing, if the value is restored; other runs go on", mended_by="restoring that file",
    ),
    "cut_log": Fault(
        name="log (`-wal`) cut off", reading="history_truncated", writing="history_truncated", doctor=("history_truncated",),
        lost="what stood in the part that is gone", mended_by="`treadle doctor --accept-loss`, which goes on with what is left",
    ),
    "missing_log": Fault(
        name="log (`-wal`) taken away", reading="history_truncated", writing="history_truncated", doctor=("history_truncated",),
        mended_by="putting it back",
    ),
    "newer_schema": Fault(
        name="file of a newer Treadle", reading="restart_this_session", writing="restart_this_session", doctor=("restart_this_session",),
        mended_by="starting again with the newer Treadle",
    ),
    "clock_back": Fault(
        name="clock set back by a month", doctor=("clock_back",), mended_by="setting it right; until then runs go on by their own time",
    ),
    "clock_forward": Fault(
        name="clock ten years ahead", mended_by="setting it right; doctor finds what was stored meanwhile (`clock_back`)",
    ),
    "no_descriptors": Fault(
        name="no descriptors left", reading="storage_descriptors", writing="storage_descriptors", doctor=("storage_descriptors",),
        mended_by="raising the limit (`ulimit -n`)",
    ),
    "stale_locks": Fault(
        name="lock files and marks of a killed process", mended_by="nothing: the system frees the locks of the dead",
    ),
    "network": Fault(
        name="network file system", reading="network_filesystem", writing="network_filesystem", doctor=("network_filesystem",),
        mended_by="moving the project to a local disk",
    ),
    "foreign_file": Fault(
        name="a file that is no database in its place", reading="not_a_store", writing="not_a_store", doctor=("not_a_store",),
        mended_by="moving it away, or restoring the file",
    ),
    "emptied_file": Fault(
        name="an emptied file in its place", reading="history_truncated", writing="history_truncated", doctor=("history_truncated",),
        mended_by="restoring the file; its log was left alone",
    ),
}  # fmt: skip
