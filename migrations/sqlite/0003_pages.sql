-- The correlator's copy of its live alarms, in pages, so that writing it never holds up the alarms
-- for long. What was kept before in one piece is forgotten: the log is read again instead.
ALTER TABLE correlator_checkpoint DROP COLUMN snapshot;
UPDATE correlator_checkpoint SET snapshot_position = 0;
CREATE TABLE live_alarm_page (
    snapshot_position INTEGER NOT NULL,
    page_no           INTEGER NOT NULL,
    bytes             BLOB    NOT NULL,
    PRIMARY KEY (snapshot_position, page_no)
) STRICT;
