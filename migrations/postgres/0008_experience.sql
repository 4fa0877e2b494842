-- How long the episodes of incidents took, for estimates that are learned. `ended_ms` is set when one
-- is over from which something can be learned: of an incident that was believed and neither rejected,
-- merged into another nor planned. Of which class the parts of older ones were is not known.
ALTER TABLE incident_episode ADD COLUMN kind TEXT NOT NULL DEFAULT 'unknown';
ALTER TABLE incident_episode ADD COLUMN part_class TEXT NOT NULL DEFAULT 'unknown';
ALTER TABLE incident_episode ADD COLUMN affected BIGINT NOT NULL DEFAULT 0;
ALTER TABLE incident_episode ADD COLUMN ended_ms BIGINT;
UPDATE incident_episode SET
    kind = CAST(i.body AS JSON) #>> '{cause,kind}',
    affected = CAST(CAST(i.body AS JSON) ->> 'affected_peak' AS BIGINT),
    ended_ms = CASE
        WHEN i.state = 'restored' AND CAST(i.body AS JSON) ->> 'confirmed_ms' IS NOT NULL
            AND CAST(i.body AS JSON) ->> 'merged_into' IS NULL
            AND CAST(i.body AS JSON) #>> '{cause,kind}' <> 'planned_work'
        THEN i.restored_ms END
FROM incident AS i
WHERE i.incident_no = incident_episode.incident_no
    AND incident_episode.episode = CAST(CAST(i.body AS JSON) ->> 'reopened' AS BIGINT);
CREATE INDEX incident_episode_ended ON incident_episode (ended_ms) WHERE ended_ms IS NOT NULL;
