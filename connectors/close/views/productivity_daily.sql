WITH deed AS (
    SELECT c.user_id, coalesce(c.activity_at, c.date_created) AS done_at,
           CASE c.direction WHEN 'outbound' THEN 'call made' WHEN 'inbound' THEN 'call received' END AS deed,
           c.disposition = 'answered' AS is_answered, c.duration AS seconds
    FROM {call} AS c
    WHERE NOT c._towpath_deleted
    UNION ALL
    SELECT e.user_id,
           CASE e.direction WHEN 'outgoing' THEN coalesce(e.date_sent, e.activity_at, e.date_created)
                            ELSE coalesce(e.activity_at, e.date_created) END,
           CASE WHEN e.direction = 'outgoing' AND e.status = 'sent' THEN 'email sent'
                WHEN e.direction = 'incoming' THEN 'email received' END,
           NULL, NULL
    FROM {email} AS e
    WHERE NOT e._towpath_deleted
    UNION ALL
    SELECT s.user_id,
           CASE s.direction WHEN 'outbound' THEN coalesce(s.date_sent, s.activity_at, s.date_created)
                            ELSE coalesce(s.activity_at, s.date_created) END,
           CASE WHEN s.direction = 'outbound' AND s.status = 'sent' THEN 'sms sent'
                WHEN s.direction = 'inbound' THEN 'sms received' END,
           NULL, NULL
    FROM {sms} AS s
    WHERE NOT s._towpath_deleted
    UNION ALL
    SELECT w.user_id, coalesce(w.activity_at, w.date_created),
           CASE w.direction WHEN 'outgoing' THEN 'whatsapp sent' WHEN 'incoming' THEN 'whatsapp received' END,
           NULL, NULL
    FROM {whatsapp_message} AS w
    WHERE NOT w._towpath_deleted
    UNION ALL
    SELECT m.user_id, coalesce(m.starts_at, m.activity_at, m.date_created),
           CASE m.status WHEN 'completed' THEN 'meeting' END,
           NULL, m.duration
    FROM {meeting} AS m
    WHERE NOT m._towpath_deleted
    UNION ALL
    SELECT t.user_id, coalesce(t.activity_at, t.date_created), 'task', NULL, NULL
    FROM {task_completed} AS t
    WHERE NOT t._towpath_deleted
    UNION ALL
    SELECT n.user_id, coalesce(n.activity_at, n.date_created), 'note', NULL, NULL
    FROM {note} AS n
    WHERE NOT n._towpath_deleted
),
daily AS (
    SELECT d.user_id,
           (d.done_at AT TIME ZONE 'UTC')::date AS day,
           count(*) FILTER (WHERE d.deed = 'call made') AS calls_made,
           count(*) FILTER (WHERE d.deed = 'call made' AND d.is_answered) AS calls_made_answered,
           sum(d.seconds) FILTER (WHERE d.deed = 'call made') AS seconds_made,
           count(*) FILTER (WHERE d.deed = 'call received') AS calls_received,
           count(*) FILTER (WHERE d.deed = 'call received' AND d.is_answered) AS calls_received_answered,
           sum(d.seconds) FILTER (WHERE d.deed = 'call received') AS seconds_received,
           count(*) FILTER (WHERE d.deed = 'email sent') AS emails_sent,
           count(*) FILTER (WHERE d.deed = 'email received') AS emails_received,
           count(*) FILTER (WHERE d.deed = 'sms sent') AS sms_sent,
           count(*) FILTER (WHERE d.deed = 'sms received') AS sms_received,
           count(*) FILTER (WHERE d.deed = 'whatsapp sent') AS whatsapp_sent,
           count(*) FILTER (WHERE d.deed = 'whatsapp received') AS whatsapp_received,
           count(*) FILTER (WHERE d.deed = 'meeting') AS meetings_held,
           sum(d.seconds) FILTER (WHERE d.deed = 'meeting') AS seconds_met,
           count(*) FILTER (WHERE d.deed = 'task') AS tasks_done,
           count(*) FILTER (WHERE d.deed = 'note') AS notes
    FROM deed AS d
    WHERE d.deed IS NOT NULL AND d.user_id IS NOT NULL AND d.done_at IS NOT NULL
    GROUP BY d.user_id, (d.done_at AT TIME ZONE 'UTC')::date
),
named AS (
    -- Former users are in membership alone.
    SELECT m.user_id, max(m.user_full_name) AS name
    FROM {membership} AS m
    WHERE NOT m._towpath_deleted
    GROUP BY m.user_id
)
SELECT d.user_id,
       coalesce(nullif(btrim(concat_ws(' ', u.first_name, u.last_name)), ''), n.name) AS user_name,
       d.day,
       {call:d.calls_made}::bigint AS calls_made,
       {call:d.calls_made_answered}::bigint AS calls_made_answered,
       {call:round(coalesce(d.seconds_made, 0) / 60.0, 2)}::numeric AS call_minutes_made,
       {call:d.calls_received}::bigint AS calls_received,
       {call:d.calls_received_answered}::bigint AS calls_received_answered,
       {call:round(coalesce(d.seconds_received, 0) / 60.0, 2)}::numeric AS call_minutes_received,
       {email:d.emails_sent}::bigint AS emails_sent,
       {email:d.emails_received}::bigint AS emails_received,
       {sms:d.sms_sent}::bigint AS sms_sent,
       {sms:d.sms_received}::bigint AS sms_received,
       {whatsapp_message:d.whatsapp_sent}::bigint AS whatsapp_sent,
       {whatsapp_message:d.whatsapp_received}::bigint AS whatsapp_received,
       {meeting:d.meetings_held}::bigint AS meetings_held,
       {meeting:round(coalesce(d.seconds_met, 0) / 60.0, 2)}::numeric AS meeting_minutes,
       {task_completed:d.tasks_done}::bigint AS tasks_done,
       {note:d.notes}::bigint AS notes
FROM daily AS d
LEFT JOIN {user} AS u ON u.id = d.user_id AND NOT u._towpath_deleted
LEFT JOIN named AS n ON n.user_id = d.user_id
