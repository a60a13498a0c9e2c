SELECT {schema} AS schema,
       r.organization_id,
       r.generation,
       r.kind,
       r.reason,
       r.began AS began_at,
       r.ended AS ended_at,
       r.duration_seconds,
       r.complete AS is_complete,
       r.rows,
       r.published,
       r.deleted,
       r.unusable,
       r.skipped,
       r.waited_share,
       r.objects,
       r.schema_changes
FROM {sync_run} AS r
WHERE NOT r._towpath_deleted
