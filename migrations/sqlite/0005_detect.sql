-- How far detection has come in the samples, and which copy of its state is as of that position.
CREATE TABLE detector_checkpoint (
    singleton   INTEGER NOT NULL PRIMARY KEY CHECK (singleton = 1),
    snapshot_no INTEGER NOT NULL,
    position    INTEGER NOT NULL
) STRICT;

-- The copies, page by page; those of other numbers are being written or swept.
CREATE TABLE detector_page (
    snapshot_no INTEGER NOT NULL,
    page_no     INTEGER NOT NULL,
    bytes       BLOB    NOT NULL,
    PRIMARY KEY (snapshot_no, page_no)
) STRICT, WITHOUT ROWID;

-- Times at which a source was alive without samples, where that decided something. Each comes after the
-- sample at `position`.
CREATE TABLE detector_tick (
    tick_no   INTEGER NOT NULL PRIMARY KEY,
    position  INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    clock_ms  INTEGER NOT NULL
) STRICT;
