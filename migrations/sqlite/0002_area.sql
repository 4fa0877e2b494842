-- Areas that were declared: a power cut, a flood, works. The body is the whole event as JSON; the
-- columns beside it only serve to find it. `change_no` rises with every change of any area.
CREATE TABLE area (
    area_no    INTEGER NOT NULL PRIMARY KEY,
    change_no  INTEGER NOT NULL UNIQUE,
    ended      INTEGER NOT NULL,
    onset_ms   INTEGER NOT NULL,
    expires_ms INTEGER,
    body       TEXT    NOT NULL
) STRICT;
CREATE INDEX area_open ON area (area_no) WHERE NOT ended;

-- Alerts that areas came from, also those that others say they replaced or cancelled. Without an
-- area: cancelled before it came.
CREATE TABLE area_alert (
    sender     TEXT    NOT NULL,
    identifier TEXT    NOT NULL,
    sent_ms    INTEGER NOT NULL,
    area_no    INTEGER,
    PRIMARY KEY (sender, identifier, sent_ms)
) STRICT, WITHOUT ROWID;

-- How long an element runs without mains power, where the inventory knows.
ALTER TABLE element ADD COLUMN battery_minutes INTEGER;
