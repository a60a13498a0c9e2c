WITH member AS (
    -- One membership for each user: the active one, if there are several.
    SELECT DISTINCT ON (m.user_id)
           m.user_id, m.role_id, m.part, coalesce(m.is_active, true) AS is_active, m.permissions_granted,
           m.user_email, m.user_full_name
    FROM {membership} AS m
    WHERE NOT m._towpath_deleted AND m.user_id IS NOT NULL
    ORDER BY m.user_id, coalesce(m.is_active, true) DESC, m.id
),
person AS (
    -- Former users are in membership alone. Users without a membership are in "user" alone.
    SELECT coalesce(m.user_id, u.id) AS user_id,
           coalesce(nullif(btrim(concat_ws(' ', u.first_name, u.last_name)), ''), m.user_full_name) AS name,
           coalesce(u.email, m.user_email) AS email,
           m.part, coalesce(m.is_active, false) AS is_active, m.role_id, m.permissions_granted
    FROM member AS m
    FULL JOIN (SELECT e.id, e.first_name, e.last_name, e.email FROM {user} AS e WHERE NOT e._towpath_deleted) AS u
        ON u.id = m.user_id
),
access AS (
    SELECT p.user_id, p.name, p.email, p.part, p.is_active, p.role_id, r.id IS NOT NULL AS has_role, r.name AS role,
           r.visibility_user_lcf_ids,
           ARRAY(
               SELECT e.permission
               FROM jsonb_array_elements_text(
                   CASE jsonb_typeof(r.permissions) WHEN 'array' THEN r.permissions ELSE '[]' END) AS e(permission)
               UNION
               SELECT e.permission
               FROM jsonb_array_elements_text(
                   CASE jsonb_typeof(p.permissions_granted) WHEN 'array' THEN p.permissions_granted ELSE '[]' END)
                   AS e(permission)
               ORDER BY 1
           ) AS permissions
    FROM person AS p
    LEFT JOIN {role} AS r ON r.id = p.role_id AND NOT r._towpath_deleted
),
team AS (
    SELECT DISTINCT g.id AS group_id, g.name AS group_name, e.member ->> 'user_id' AS user_id
    FROM {group} AS g
    CROSS JOIN LATERAL jsonb_array_elements(
        CASE jsonb_typeof(g.members) WHEN 'array' THEN g.members ELSE '[]' END) AS e(member)
    WHERE NOT g._towpath_deleted
),
teammate AS (
    SELECT t.group_id, t.user_id, p.name, p.part, p.is_active
    FROM team AS t
    JOIN person AS p ON p.user_id = t.user_id
),
leader AS (
    -- Close has no hierarchy, so it comes from the groups: managers lead agents, admins lead managers, and the agents
    -- of a group without a manager.
    SELECT DISTINCT t.user_id, l.user_id AS manager_id, l.name AS manager_name
    FROM teammate AS t
    JOIN teammate AS l ON l.group_id = t.group_id AND l.is_active
    WHERE (t.part, l.part) IN (('agent', 'manager'), ('manager', 'admin'))
       OR (t.part, l.part) = ('agent', 'admin')
          AND NOT EXISTS (SELECT FROM teammate AS m
                          WHERE m.group_id = t.group_id AND m.is_active AND m.part = 'manager')
)
SELECT a.user_id,
       a.name,
       a.email,
       a.part,
       a.is_active,
       a.role_id,
       a.role,
       a.permissions,
       CASE WHEN a.has_role
            THEN 'view_all_leads' = ANY (a.permissions)
                 AND coalesce(jsonb_typeof(a.visibility_user_lcf_ids) <> 'array'
                              OR a.visibility_user_lcf_ids = '[]', true)
       END AS sees_all_leads,
       {group:ARRAY(SELECT t.group_id FROM team AS t WHERE t.user_id = a.user_id
                    ORDER BY t.group_name, t.group_id)}::text[] AS group_ids,
       {group:ARRAY(SELECT t.group_name FROM team AS t WHERE t.user_id = a.user_id
                    ORDER BY t.group_name, t.group_id)}::text[] AS groups,
       {group:ARRAY(SELECT l.manager_id FROM leader AS l WHERE l.user_id = a.user_id
                    ORDER BY l.manager_name, l.manager_id)}::text[] AS manager_ids,
       {group:ARRAY(SELECT l.manager_name FROM leader AS l WHERE l.user_id = a.user_id
                    ORDER BY l.manager_name, l.manager_id)}::text[] AS managers,
       {group:ARRAY(SELECT l.user_id FROM leader AS l WHERE l.manager_id = a.user_id
                    ORDER BY l.user_id)}::text[] AS managed_user_ids
FROM access AS a
