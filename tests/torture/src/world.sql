-- What the sessions ask about. Everything is written with its schema: they set search paths at random.
--
-- | sources | what happens to them |
-- | --- | --- |
-- | s_… | nothing: what is right was computed before the sessions began |
-- | h_… | shaken: every kind of DDL, but their rows always say the same, so that what is right is known too |
-- | c_… | churned: rows and columns change, so that what is right must be asked for under the same snapshot |

CREATE EXTENSION pg_recommend;
CREATE SCHEMA torture;
CREATE SCHEMA elsewhere;
CREATE ROLE keeper;
CREATE ROLE reader;
CREATE ROLE stranger;
CREATE ROLE idle;
CREATE TYPE torture.pack_size AS ENUM ('small', 'large');

-- Numbers that are the same in every type of number. 12 products, 3 regions, 8 weeks.
CREATE VIEW torture.content AS
SELECT p::bigint AS product_id, 'r' || r AS region, date '2024-01-01' + 7 * w AS week,
       ((p * 7 + r * 3 + w) % 40 / 4.0)::numeric(8, 2) AS price,
       CASE WHEN (p + w) % 7 <> 0 THEN ((p * 5 + w * 11 + r) % 64 / 4.0)::real END AS sales,
       (p * 3 + w) % 9 AS households,
       CASE WHEN (p + w) % 5 <> 0 THEN (p * w + r) % 3 = 0 END AS on_promotion,
       (ARRAY['drinks', 'bakery', 'pets'])[1 + p % 3] AS category,
       (ARRAY['small', 'large'])[1 + p % 2]::torture.pack_size AS size,
       ARRAY[(p + w) % 8 / 2.0, r / 4.0]::real[] AS history,
       CASE WHEN w < 7 THEN pg_catalog.hashtextextended(p || ' ' || r || ' ' || w, 1) % 10 + p % 3 * 3 > 2 END AS purchased
FROM generate_series(1, 12) AS p, generate_series(0, 2) AS r, generate_series(0, 7) AS w;

-- The keys that are asked for; products 13 and region r3 have no rows.
CREATE TABLE torture.keys AS
SELECT p::bigint AS product_id, 'r' || r AS region FROM generate_series(1, 13) AS p, generate_series(0, 3) AS r;
ALTER TABLE torture.keys ADD PRIMARY KEY (product_id, region);
CREATE TABLE torture.moments AS
SELECT unnest('{infinity,2024-02-05,2024-01-10,2023-01-01}'::date[]) AS as_of;

-- A source of its own rows: each has prices of its own, so that one source's rows are never another's.
CREATE PROCEDURE torture.make_source(name text, shape text, number integer)
LANGUAGE plpgsql AS $$
DECLARE
    rows text := format('SELECT product_id%s, region, week, (price + %s / 4.0)::numeric(8, 2) AS price, sales, households,
                                on_promotion, category, size, history, purchased FROM torture.content',
                        CASE WHEN shape = 'text' THEN '::text AS product_id' ELSE '' END, number);
BEGIN
    CASE shape
    WHEN 'view' THEN
        EXECUTE format('CREATE TABLE torture.%s_base AS %s', name, rows);
        EXECUTE format('ALTER TABLE torture.%s_base ADD PRIMARY KEY (product_id, region, week)', name);
        EXECUTE format('CREATE VIEW torture.%s AS SELECT * FROM torture.%1$s_base', name);
    WHEN 'matview' THEN
        EXECUTE format('CREATE TABLE torture.%s_base AS %s', name, rows);
        EXECUTE format('CREATE MATERIALIZED VIEW torture.%s AS SELECT * FROM torture.%1$s_base', name);
        EXECUTE format('CREATE UNIQUE INDEX %s_key ON torture.%1$s (product_id, region, week)', name);
    WHEN 'part' THEN
        EXECUTE format('CREATE TABLE torture.%s (%s) PARTITION BY RANGE (week)', name,
            'product_id bigint, region text, week date, price numeric(8, 2), sales real, households integer, on_promotion boolean,
             category text, size torture.pack_size, history real[], purchased boolean, PRIMARY KEY (product_id, region, week)');
        EXECUTE format('CREATE TABLE torture.%s_1 PARTITION OF torture.%1$s FOR VALUES FROM (''2023-01-01'') TO (''2024-01-29'')', name);
        EXECUTE format('CREATE TABLE torture.%s_2 PARTITION OF torture.%1$s FOR VALUES FROM (''2024-01-29'') TO (''2025-01-01'')', name);
        EXECUTE format('INSERT INTO torture.%s %s', name, rows);
    WHEN 'feature' THEN
        EXECUTE format('CREATE TABLE torture.%s_base AS %s', name, rows);
        PERFORM reco.create_feature_view('torture.' || name,
            format('SELECT * FROM torture.%s_base WHERE week BETWEEN $1 AND $2', name),
            keys => '{product_id,region}', label => 'purchased', partition_by => 'month',
            available => format('SELECT min(week), max(week) + 7 FROM torture.%s_base', name));
        EXECUTE format('CALL reco.refresh_features(''torture.%s'')', name);
    ELSE
        EXECUTE format('CREATE TABLE torture.%s AS %s', name, rows);
        IF shape <> 'bare' THEN
            EXECUTE format('ALTER TABLE torture.%s ADD PRIMARY KEY (product_id, region, week)', name);
        END IF;
    END CASE;
    EXECUTE format('GRANT SELECT ON torture.%s TO reader, keeper', name);
END $$;

-- Numbers only, for predict() of arrays; and the source of a quantity.
CREATE VIEW torture.numbers AS
SELECT product_id, region, week, price::real AS price, sales, households, purchased FROM torture.content;

-- Scores of every version for every key and moment (infinity: the newest row).
CREATE TABLE torture.expected (
    model text, version integer, product_id text, region text, as_of date, score double precision,
    PRIMARY KEY (model, product_id, region, as_of, version));

-- Three versions of a model, each a copy of one of the three trained ones, in another order for every number.
CREATE FUNCTION torture.restore_model(model text, source text, number integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM reco.models AS m WHERE m.model = $1) THEN
        PERFORM reco.drop_model($1, force => true);
    END IF;
    FOR place IN 1..3 LOOP
        PERFORM reco.import_model($1, reco.export_model('seed', (place + $3) % 3 + 1), $2::regclass, label => 'purchased');
    END LOOP;
    PERFORM reco.grant_model($1, 'reader', 'score'), reco.grant_model($1, 'keeper', 'manage');
END $$;

-- What is right, read from the catalog by plain SQL: the version that the statement's snapshot names for a key, and its score. As their
-- owner: a right that is revoked meanwhile must not change what is right.
CREATE FUNCTION torture.champion_of(model text) RETURNS integer
STABLE SECURITY DEFINER LANGUAGE sql AS $$ SELECT a.version FROM reco.aliases AS a WHERE a.model = $1 AND a.alias = 'champion' $$;
CREATE FUNCTION torture.version_of(model text, product_id text, region text) RETURNS integer
STABLE SECURITY DEFINER LANGUAGE sql AS $$
    SELECT coalesce(
        (SELECT a.version FROM reco.ab_tests AS t JOIN reco.ab_arms AS a ON a.test = t.test
         WHERE t.model = $1 AND t.status = 'running' AND a.arm = reco.ab_arm(t.test, $2, $3)),
        torture.champion_of($1)) $$;
CREATE FUNCTION torture.right_answer(model text, product_id text, region text, as_of date DEFAULT 'infinity') RETURNS double precision
STABLE SECURITY DEFINER LANGUAGE sql AS $$
    SELECT e.score FROM torture.expected AS e
    WHERE e.model = $1 AND e.product_id = $2 AND e.region = $3 AND e.as_of = $4 AND e.version = torture.version_of($1, $2, $3) $$;

-- recommend as functions of users call it. Those that are STABLE see the snapshot of the query that calls them.
CREATE FUNCTION torture.ask(model text, product_id bigint, region text) RETURNS double precision
STABLE LANGUAGE plpgsql AS $$
DECLARE answer double precision;
BEGIN
    answer := reco.recommend(product_id, region, model);
    RETURN answer;
END $$;
CREATE FUNCTION torture.ask_by_query(model text, product_id bigint, region text) RETURNS double precision
STABLE LANGUAGE plpgsql AS $$
DECLARE answer double precision;
BEGIN
    SELECT reco.recommend(k.product_id, k.region, ask_by_query.model) INTO answer
    FROM torture.keys AS k WHERE k.product_id = $2 AND k.region = $3;
    RETURN answer;
END $$;
CREATE FUNCTION torture.ask_in_loop(model text, product_id bigint, region text) RETURNS double precision
STABLE LANGUAGE plpgsql AS $$
DECLARE answer double precision; scores double precision[];
BEGIN
    FOR near IN product_id - 2 .. product_id LOOP
        answer := reco.recommend(near, region, model);
        scores := scores || answer;
    END LOOP;
    RETURN scores[3];
END $$;
CREATE FUNCTION torture.ask_caught(model text, product_id bigint, region text) RETURNS double precision
STABLE LANGUAGE plpgsql AS $$
DECLARE answer double precision;
BEGIN
    BEGIN
        SELECT sum(reco.recommend(p, $3, $1) * (1 / (p - $2))) INTO answer FROM generate_series($2 - 2, $2 + 1) AS p;
    EXCEPTION WHEN division_by_zero THEN
        answer := reco.recommend(product_id, region, model);
    END;
    RETURN answer;
END $$;
CREATE FUNCTION torture.ask_sql(model text, product_id bigint, region text) RETURNS double precision
STABLE LANGUAGE sql AS $$ SELECT reco.recommend($2, $3, $1) $$;

-- Raises what the runner takes for a wrong answer.
CREATE FUNCTION torture.compare(got double precision, expected double precision, what text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF got IS DISTINCT FROM expected THEN
        RAISE EXCEPTION USING ERRCODE = 'TT001', MESSAGE = format('%s: got %s, right is %s', what, got, expected);
    END IF;
END $$;

-- recommend in triggers: at once, and when the transaction commits.
CREATE TABLE torture.asked (model text, product_id bigint, region text, score double precision);
CREATE FUNCTION torture.on_asked() RETURNS trigger
STABLE LANGUAGE plpgsql AS $$
BEGIN
    PERFORM reco.recommend(new.product_id, new.region, new.model);
    RETURN NULL;
END $$;
CREATE TRIGGER asked_now AFTER INSERT ON torture.asked FOR EACH ROW EXECUTE FUNCTION torture.on_asked();
CREATE CONSTRAINT TRIGGER asked_later AFTER INSERT ON torture.asked DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION torture.on_asked();

-- REINDEX CONCURRENTLY that is cancelled leaves a second index, invalid or, if it was near its end, valid. Each is one more lock
-- for every statement on the table, until the table of locks is full.
CREATE FUNCTION torture.drop_invalid_indexes() RETURNS void
SECURITY DEFINER LANGUAGE plpgsql AS $$
DECLARE index text;
BEGIN
    FOR index IN
        SELECT format('%I.%I', n.nspname, c.relname)
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE (NOT i.indisvalid OR c.relname ~ '_cc(new|old)[0-9]*$') AND c.relkind = 'i'
    LOOP
        EXECUTE 'DROP INDEX IF EXISTS ' || index;
    END LOOP;
END $$;

CREATE TABLE torture.sales AS
SELECT s % 12 + 1 AS product_id, 'r' || s % 3 AS region, timestamp '2024-01-01' + s * interval '31 minutes' AS sold_at,
       (s % 50) / 4.0 AS amount, s % 4 AS quantity, CASE WHEN s % 5 = 0 THEN 0.25 END AS discount, s % 97 AS customer
FROM generate_series(1, 3000) AS s;
ANALYZE;
