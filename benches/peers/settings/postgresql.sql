-- A row a device. Pages keep room, so that an update stays on its page and touches no index (HOT).
CREATE TABLE devices (
    device uuid PRIMARY KEY,
    seq bigint NOT NULL,
    verdict smallint NOT NULL,
    rest bytea NOT NULL
) WITH (fillfactor = 60);

-- Counts for each connection and verdict: one row for all would make every commit wait for the flush
-- of another. A question sums them.
CREATE TABLE counts (
    lane smallint,
    verdict smallint,
    devices bigint NOT NULL,
    PRIMARY KEY (lane, verdict)
) WITH (fillfactor = 10);

-- Once a statement, not once a row.
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
    SELECT current_setting('muster.lane')::smallint, verdict, sum(step) FROM (
        SELECT verdict, 1 AS step FROM after_it UNION ALL SELECT verdict, -1 FROM before_it
    ) AS steps GROUP BY verdict HAVING sum(step) <> 0
    ON CONFLICT (lane, verdict) DO UPDATE SET devices = counts.devices + excluded.devices;
    RETURN NULL;
END $$;

CREATE TRIGGER created AFTER INSERT ON devices
    REFERENCING NEW TABLE AS created
    FOR EACH STATEMENT EXECUTE FUNCTION count_created();

CREATE TRIGGER moved AFTER UPDATE ON devices
    REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it
    FOR EACH STATEMENT EXECUTE FUNCTION count_moved();
