WITH status AS (
    SELECT s.id, s.label, s.type, s.pipeline_id
    FROM {opportunity_status} AS s
    WHERE NOT s._towpath_deleted
),
deal AS (
    -- Close counts money in hundredths.
    SELECT o.status_id, o.status_label, coalesce(s.type, o.status_type) AS status_type, o.pipeline_id, o.pipeline_name,
           o.value_currency, o.value_period,
           coalesce(o.value, 0)::numeric / 100 AS value,
           coalesce(o.value, 0)::numeric / 100 * CASE o.value_period WHEN 'monthly' THEN 12 ELSE 1 END AS annualized,
           coalesce(o.confidence, 0)::numeric / 100 AS probability,
           CASE coalesce(s.type, o.status_type)
               WHEN 'won' THEN o.date_won::timestamp AT TIME ZONE 'UTC'
               WHEN 'lost' THEN o.date_lost
               ELSE now()
           END - o.date_created AS age
    FROM {opportunity} AS o
    LEFT JOIN status AS s ON s.id = o.status_id
    WHERE NOT o._towpath_deleted
),
stage AS (
    SELECT d.status_id, d.value_currency, max(d.status_label) AS status_label, max(d.status_type) AS status_type,
           max(d.pipeline_id) AS pipeline_id, max(d.pipeline_name) AS pipeline_name,
           count(*) AS opportunities,
           sum(d.value) AS value,
           sum(d.value) FILTER (WHERE d.value_period = 'one_time') AS value_one_time,
           sum(d.value) FILTER (WHERE d.value_period = 'monthly') AS value_monthly,
           sum(d.value) FILTER (WHERE d.value_period = 'annual') AS value_annual,
           sum(d.annualized) AS annualized_value,
           sum(d.value * d.probability) AS weighted_value,
           sum(d.annualized * d.probability) AS weighted_annualized_value,
           avg(greatest(extract(epoch FROM d.age)::numeric / 86400, 0)) AS average_age_days
    FROM deal AS d
    GROUP BY d.status_id, d.value_currency
)
SELECT coalesce(s.pipeline_id, g.pipeline_id) AS pipeline_id,
       coalesce(p.name, g.pipeline_name) AS pipeline,
       (SELECT min(e.position)
        FROM jsonb_array_elements(CASE jsonb_typeof(p.statuses) WHEN 'array' THEN p.statuses ELSE '[]' END)
            WITH ORDINALITY AS e(status, position)
        WHERE e.status ->> 'id' = coalesce(s.id, g.status_id))::bigint AS position,
       coalesce(s.id, g.status_id) AS status_id,
       coalesce(s.label, g.status_label) AS status,
       coalesce(s.type, g.status_type) AS status_type,
       g.value_currency AS currency,
       coalesce(g.opportunities, 0)::bigint AS opportunities,
       round(coalesce(g.value, 0), 2) AS value,
       round(coalesce(g.value_one_time, 0), 2) AS value_one_time,
       round(coalesce(g.value_monthly, 0), 2) AS value_monthly,
       round(coalesce(g.value_annual, 0), 2) AS value_annual,
       round(coalesce(g.annualized_value, 0), 2) AS annualized_value,
       round(coalesce(g.weighted_value, 0), 2) AS weighted_value,
       round(coalesce(g.weighted_annualized_value, 0), 2) AS weighted_annualized_value,
       round(g.average_age_days, 2) AS average_age_days
FROM stage AS g
FULL JOIN status AS s ON s.id = g.status_id
LEFT JOIN {pipeline} AS p ON p.id = coalesce(s.pipeline_id, g.pipeline_id) AND NOT p._towpath_deleted
