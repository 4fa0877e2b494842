-- How long the episodes of incidents took, for estimates that are learned. `ended_ms` is set when one
-- is over from which something can be learned: of an incident that was believed and neither rejected,
-- merged into another nor planned. Of which class the parts of older ones were is not known.
ALTER TABLE incident_episode ADD COLUMN kind TEXT NOT NULL DEFAULT 'unknown';
ALTER TABLE incident_episode ADD COLUMN part_class TEXT NOT NULL DEFAULT 'unknown';
ALTER TABLE incident_episode ADD COLUMN affected INTEGER NOT NULL DEFAULT 0;
ALTER TABLE incident_episode ADD COLUMN ended_ms INTEGER;
UPDATE incident_episode SET
    kind = json_extract(i.body, '$.cause.kind'),
    affected = json_extract(i.body, '$.affected_peak'),
    ended_ms = CASE
        WHEN i.state = 'restored' AND json_extract(i.body, '$.confirmed_ms') IS NOT NULL
            AND json_extract(i.body, '$.merged_into') IS NULL
            AND json_extract(i.body, '$.cause.kind') <> 'planned_work'
        THEN i.restored_ms END
FROM incident AS i
WHERE i.incident_no = incident_episode.incident_no
    AND incident_episode.episode = json_extract(i.body, '$.reopened');
CREATE INDEX incident_episode_ended ON incident_episode (ended_ms) WHERE ended_ms IS NOT NULL;
