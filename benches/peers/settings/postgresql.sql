-- One row per device. Pages keep free space, so that updates stay on their page and change no index (HOT updates).
CREATE TABLE devices (
    device uuid PRIMARY KEY,
    seq bigint NOT NULL,
    verdict smallint NOT NULL,
    rest bytea NOT NULL
) WITH (fillfactor = 60);

-- Counts by connection and verdict: with one row for all connections, each commit would wait for the flush of another.
-- Queries sum over the connections.
CREATE TABLE counts (
    lane smallint,
    verdict smallint,
    devices bigint NOT NULL,
    PRIMARY KEY (lane, verdict)
) WITH (fillfactor = 10);

-- Statement triggers, because row triggers would update counts for every row.
CREATE FUNCTION count_created() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO counts
    SELECT current_setting('muster.lane')::smallint, verdict, count(*) FROM created GROUP BY verdict
    ON CONFLICT (lane, verdict) DO UPDATE SET devices = counts.devices + excluded.devices;
    RETURN NULL;
END $$;

CREATE FUNCTION count_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO counts
    SELECT current_setting('muster.lane')::smallint, verdict, sum(delta) FROM (
        SELECT verdict, 1 AS delta FROM new_rows UNION ALL SELECT verdict, -1 FROM old_rows
    ) AS deltas GROUP BY verdict HAVING sum(delta) <> 0
    ON CONFLICT (lane, verdict) DO UPDATE SET devices = counts.devices + excluded.devices;
    RETURN NULL;
END $$;

CREATE TRIGGER created AFTER INSERT ON devices
    REFERENCING NEW TABLE AS created
    FOR EACH STATEMENT EXECUTE FUNCTION count_created();

CREATE TRIGGER moved AFTER UPDATE ON devices
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_moved();
