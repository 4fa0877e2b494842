-- What finds a subscriber, in tables of their own in place of indexes: an import sorts each list before it
-- writes it, while an index is filled in the order of the accounts, all over its pages.
DROP INDEX subscriber_position;
CREATE TABLE subscriber_key (
    version       INTEGER NOT NULL,
    kind          TEXT    NOT NULL CHECK (kind IN ('address', 'cpe_serial', 'email', 'phone')),
    key           TEXT    NOT NULL,
    subscriber_no INTEGER NOT NULL,
    PRIMARY KEY (version, kind, key, subscriber_no)
) STRICT, WITHOUT ROWID;
CREATE TABLE subscriber_position (
    version       INTEGER NOT NULL,
    latitude      REAL    NOT NULL,
    longitude     REAL    NOT NULL,
    subscriber_no INTEGER NOT NULL,
    PRIMARY KEY (version, latitude, longitude, subscriber_no)
) STRICT, WITHOUT ROWID;
INSERT INTO subscriber_key (version, kind, key, subscriber_no)
    SELECT version, 'address', address_key, subscriber_no FROM subscriber
    WHERE address_key <> '' ORDER BY version, address_key, subscriber_no;
INSERT INTO subscriber_key (version, kind, key, subscriber_no)
    SELECT version, 'cpe_serial', cpe_serial, subscriber_no FROM subscriber
    WHERE cpe_serial <> '' ORDER BY version, cpe_serial, subscriber_no;
INSERT INTO subscriber_key (version, kind, key, subscriber_no)
    SELECT DISTINCT version, kind, value_key, subscriber_no FROM contact_point
    WHERE kind IN ('email', 'phone') AND value_key <> ''
    ORDER BY version, kind, value_key, subscriber_no;
INSERT INTO subscriber_position (version, latitude, longitude, subscriber_no)
    SELECT version, latitude, longitude, subscriber_no FROM subscriber
    WHERE latitude IS NOT NULL AND longitude IS NOT NULL
    ORDER BY version, latitude, longitude, subscriber_no;
DROP INDEX subscriber_address;
DROP INDEX subscriber_cpe;
DROP INDEX contact_point_value;
ALTER TABLE subscriber DROP COLUMN address_key;
