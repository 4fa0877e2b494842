-- Whether a source is in the middle of a snapshot, so that after a restart, too, the end of one that
-- never began is told from the end of one that did.
ALTER TABLE source ADD COLUMN snapshot_open BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE source SET snapshot_open = TRUE WHERE source_id IN (
    SELECT source_id FROM alarm_log WHERE kind IN ('snapshot_begin', 'snapshot_end')
    GROUP BY source_id
    HAVING MAX(CASE WHEN kind = 'snapshot_begin' THEN position ELSE 0 END)
        > MAX(CASE WHEN kind = 'snapshot_end' THEN position ELSE 0 END)
);
