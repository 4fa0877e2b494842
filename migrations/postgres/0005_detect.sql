-- How far detection has come in the samples, and which copy of its state is as of that position.
CREATE TABLE detector_checkpoint (
    singleton   BIGINT NOT NULL PRIMARY KEY CHECK (singleton = 1),
    snapshot_no BIGINT NOT NULL,
    position    BIGINT NOT NULL
);

-- The copies, page by page; those of other numbers are being written or swept.
CREATE TABLE detector_page (
    snapshot_no BIGINT NOT NULL,
    page_no     BIGINT NOT NULL,
    bytes       BYTEA  NOT NULL,
    PRIMARY KEY (snapshot_no, page_no)
);

-- Times at which a source was alive without samples, where that decided something. Each comes after the
-- sample at `position`.
CREATE TABLE detector_tick (
    tick_no   BIGINT NOT NULL PRIMARY KEY,
    position  BIGINT NOT NULL,
    source_id BIGINT NOT NULL,
    clock_ms  BIGINT NOT NULL
);
