WITH opportunity AS (
    SELECT o.id, o.lead_id, o.user_id, o.status_id, o.status_label, o.status_type, o.pipeline_id, o.pipeline_name,
           o.date_created
    FROM {opportunity} AS o
    WHERE NOT o._towpath_deleted
),
change AS (
    SELECT c.opportunity_id, c.date_created AS changed_at,
           c.old_status_id, c.old_status_label, c.old_status_type, c.old_pipeline_id, c.old_pipeline_name,
           c.new_status_id, c.new_status_label, c.new_status_type, c.new_pipeline_id, c.new_pipeline_name,
           row_number() OVER each_deal AS number,
           lead(c.date_created) OVER each_deal AS next_at,
           lead(c.id) OVER each_deal IS NULL AS is_last
    FROM {opportunity_status_change} AS c
    WHERE NOT c._towpath_deleted AND c.date_created IS NOT NULL
    WINDOW each_deal AS (PARTITION BY c.opportunity_id ORDER BY c.date_created, c.id)
),
visit AS (
    -- The first stage lasts from the creation to the first change. Without a change it is the present one.
    SELECT o.id AS opportunity_id, 0 AS number,
           CASE WHEN c.number IS NULL THEN o.status_id ELSE c.old_status_id END AS status_id,
           CASE WHEN c.number IS NULL THEN o.status_label ELSE c.old_status_label END AS status_label,
           CASE WHEN c.number IS NULL THEN o.status_type ELSE c.old_status_type END AS status_type,
           CASE WHEN c.number IS NULL THEN o.pipeline_id ELSE c.old_pipeline_id END AS pipeline_id,
           CASE WHEN c.number IS NULL THEN o.pipeline_name ELSE c.old_pipeline_name END AS pipeline_name,
           least(o.date_created, c.changed_at) AS entered_at, c.changed_at AS left_at, c.number IS NULL AS is_current
    FROM opportunity AS o
    LEFT JOIN change AS c ON c.opportunity_id = o.id AND c.number = 1
    WHERE c.number IS NULL OR c.old_status_id IS NOT NULL
    UNION ALL
    -- Each change begins a stage, which lasts to the next change.
    SELECT o.id, c.number, c.new_status_id, c.new_status_label, c.new_status_type, c.new_pipeline_id,
           c.new_pipeline_name, c.changed_at, c.next_at, c.is_last AND c.new_status_id IS NOT DISTINCT FROM o.status_id
    FROM change AS c
    JOIN opportunity AS o ON o.id = c.opportunity_id
    UNION ALL
    -- The present stage, if the last known change leads to another one: the activity of the change was deleted.
    SELECT o.id, c.number + 1, o.status_id, o.status_label, o.status_type, o.pipeline_id, o.pipeline_name, NULL, NULL,
           true
    FROM opportunity AS o
    JOIN change AS c ON c.opportunity_id = o.id AND c.is_last
    WHERE c.new_status_id IS DISTINCT FROM o.status_id
)
SELECT v.opportunity_id,
       row_number() OVER (PARTITION BY v.opportunity_id ORDER BY v.number) AS stage,
       o.lead_id,
       o.user_id,
       coalesce(s.pipeline_id, v.pipeline_id) AS pipeline_id,
       coalesce(p.name, v.pipeline_name) AS pipeline,
       v.status_id,
       coalesce(s.label, v.status_label) AS status,
       coalesce(s.type, v.status_type) AS status_type,
       v.entered_at,
       v.left_at,
       round(extract(epoch FROM CASE
           WHEN v.left_at IS NOT NULL THEN v.left_at
           WHEN v.is_current AND coalesce(s.type, v.status_type) = 'active' THEN now()
       END - v.entered_at)::numeric / 86400, 4) AS days,
       v.is_current,
       coalesce(present.type, o.status_type) AS outcome
FROM visit AS v
JOIN opportunity AS o ON o.id = v.opportunity_id
LEFT JOIN {opportunity_status} AS s ON s.id = v.status_id AND NOT s._towpath_deleted
LEFT JOIN {opportunity_status} AS present ON present.id = o.status_id AND NOT present._towpath_deleted
LEFT JOIN {pipeline} AS p ON p.id = coalesce(s.pipeline_id, v.pipeline_id) AND NOT p._towpath_deleted
