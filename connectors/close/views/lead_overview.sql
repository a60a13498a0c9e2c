WITH touch AS (
    SELECT c.lead_id, coalesce(c.activity_at, c.date_created) AS at, 'call' AS kind, true AS is_communication
    FROM {call} AS c
    WHERE NOT c._towpath_deleted
    UNION ALL
    SELECT e.lead_id,
           CASE e.direction WHEN 'outgoing' THEN coalesce(e.date_sent, e.activity_at, e.date_created)
                            ELSE coalesce(e.activity_at, e.date_created) END,
           'email', true
    FROM {email} AS e
    WHERE NOT e._towpath_deleted AND (e.direction = 'incoming' OR e.status = 'sent')
    UNION ALL
    SELECT s.lead_id,
           CASE s.direction WHEN 'outbound' THEN coalesce(s.date_sent, s.activity_at, s.date_created)
                            ELSE coalesce(s.activity_at, s.date_created) END,
           'sms', true
    FROM {sms} AS s
    WHERE NOT s._towpath_deleted AND (s.direction = 'inbound' OR s.status = 'sent')
    UNION ALL
    SELECT w.lead_id, coalesce(w.activity_at, w.date_created), 'whatsapp_message', true
    FROM {whatsapp_message} AS w
    WHERE NOT w._towpath_deleted
    UNION ALL
    SELECT m.lead_id, coalesce(m.starts_at, m.activity_at, m.date_created), 'meeting', true
    FROM {meeting} AS m
    WHERE NOT m._towpath_deleted AND m.status = 'completed'
    UNION ALL
    SELECT n.lead_id, coalesce(n.activity_at, n.date_created), 'note', false
    FROM {note} AS n
    WHERE NOT n._towpath_deleted
    UNION ALL
    SELECT a.lead_id, coalesce(a.activity_at, a.date_created), 'custom_activity', false
    FROM {custom_activity} AS a
    WHERE NOT a._towpath_deleted AND a.status IS DISTINCT FROM 'draft'
    UNION ALL
    SELECT f.lead_id, coalesce(f.activity_at, f.date_created), 'form_submission', false
    FROM {form_submission} AS f
    WHERE NOT f._towpath_deleted
    UNION ALL
    SELECT t.lead_id, coalesce(t.activity_at, t.date_created), 'task_completed', false
    FROM {task_completed} AS t
    WHERE NOT t._towpath_deleted
    UNION ALL
    SELECT l.lead_id, coalesce(l.activity_at, l.date_created), 'lead_status_change', false
    FROM {lead_status_change} AS l
    WHERE NOT l._towpath_deleted
    UNION ALL
    SELECT o.lead_id, coalesce(o.activity_at, o.date_created), 'opportunity_status_change', false
    FROM {opportunity_status_change} AS o
    WHERE NOT o._towpath_deleted
),
activity AS (
    SELECT t.lead_id, max(t.at) AS last_activity_at,
           (array_agg(t.kind ORDER BY t.at DESC, t.kind))[1] AS last_activity_kind,
           max(t.at) FILTER (WHERE t.is_communication) AS last_communication_at
    FROM touch AS t
    WHERE t.at <= now()
    GROUP BY t.lead_id
),
people AS (
    SELECT c.lead_id, count(*) AS contacts
    FROM {contact} AS c
    WHERE NOT c._towpath_deleted
    GROUP BY c.lead_id
),
deals AS (
    -- Close counts money in hundredths.
    SELECT o.lead_id, max(o.value_currency) AS currency,
           count(*) FILTER (WHERE o.status_type = 'active') AS open_opportunities,
           sum(o.value) FILTER (WHERE o.status_type = 'active') AS open_value,
           sum(o.value * CASE o.value_period WHEN 'monthly' THEN 12 ELSE 1 END)
               FILTER (WHERE o.status_type = 'active') AS open_annualized_value,
           count(*) FILTER (WHERE o.status_type = 'won') AS won_opportunities,
           sum(o.value) FILTER (WHERE o.status_type = 'won') AS won_value
    FROM {opportunity} AS o
    WHERE NOT o._towpath_deleted
    GROUP BY o.lead_id
),
open_task AS (
    SELECT t.lead_id, t.id, t.date, t.text, t.assigned_to,
           count(*) OVER (PARTITION BY t.lead_id) AS open_tasks,
           row_number() OVER (PARTITION BY t.lead_id ORDER BY t.date NULLS LAST, t.date_created, t.id) AS number
    FROM {task} AS t
    WHERE NOT t._towpath_deleted AND NOT coalesce(t.is_complete, false)
),
owner_field AS (
    -- A lead has no owner. Custom fields of type user name it. The sink notes the column of each field.
    SELECT f.name, c.column_name
    FROM (SELECT d.id, d.name FROM {custom_field_lead} AS d WHERE NOT d._towpath_deleted AND d.type = 'user'
          UNION
          SELECT d.id, d.name FROM {custom_field_shared} AS d WHERE NOT d._towpath_deleted AND d.type = 'user') AS f
    JOIN towpath.columns AS c ON c.table_schema = {schema} AND c.table_name = 'lead' AND c.field = f.id
)
SELECT l.id AS lead_id,
       coalesce(l.display_name, l.name) AS name,
       l.status_id,
       coalesce(s.label, l.status_label) AS status,
       l.html_url,
       l.date_created AS created_at,
       {custom_field_lead:(SELECT jsonb_object_agg(f.name, to_jsonb(l) -> f.column_name)
                           FROM owner_field AS f
                           WHERE jsonb_typeof(to_jsonb(l) -> f.column_name) <> 'null')}::jsonb AS owners,
       {contact:coalesce(people.contacts, 0)}::bigint AS contacts,
       {opportunity:coalesce(deals.open_opportunities, 0)}::bigint AS open_opportunities,
       {opportunity:round(coalesce(deals.open_value, 0)::numeric / 100, 2)}::numeric AS open_value,
       {opportunity:round(coalesce(deals.open_annualized_value, 0)::numeric / 100, 2)}::numeric
           AS open_annualized_value,
       {opportunity:coalesce(deals.won_opportunities, 0)}::bigint AS won_opportunities,
       {opportunity:round(coalesce(deals.won_value, 0)::numeric / 100, 2)}::numeric AS won_value,
       deals.currency,
       activity.last_activity_at,
       activity.last_activity_kind,
       activity.last_communication_at,
       {task:coalesce(open_task.open_tasks, 0)}::bigint AS open_tasks,
       open_task.id AS next_task_id,
       CASE WHEN open_task.date ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}' THEN left(open_task.date, 10)::date END AS next_task_on,
       open_task.text AS next_task,
       open_task.assigned_to AS next_task_user_id
FROM {lead} AS l
LEFT JOIN {lead_status} AS s ON s.id = l.status_id AND NOT s._towpath_deleted
LEFT JOIN people ON people.lead_id = l.id
LEFT JOIN deals ON deals.lead_id = l.id
LEFT JOIN activity ON activity.lead_id = l.id
LEFT JOIN open_task ON open_task.lead_id = l.id AND open_task.number = 1
WHERE NOT l._towpath_deleted
