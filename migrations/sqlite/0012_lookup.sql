-- The forms under which the contact of a complaint may be stored, likeliest first: a phone number may
-- have been typed as inside the country, and be stored as abroad.
CREATE TABLE complaint_contact (
    complaint_no INTEGER NOT NULL,
    place        INTEGER NOT NULL,
    key          TEXT    NOT NULL,
    PRIMARY KEY (complaint_no, place)
) STRICT, WITHOUT ROWID;
INSERT INTO complaint_contact (complaint_no, place, key)
    SELECT complaint_no, 0, contact FROM complaint WHERE contact <> '';
-- Serial numbers are looked up without case and outer blanks.
UPDATE subscriber_key SET key = upper(trim(key))
    WHERE kind = 'cpe_serial' AND key <> upper(trim(key));
