//! Tables whose triggers drop rows: the records are counted as filtered, whichever statement wrote them.

use towpath_api::RecordOp;

use crate::{
    edges::{Feed, letters},
    laboratory::Laboratory,
};

/// Drops every change of the rows with an odd number.
const DROPS: &str = "CREATE FUNCTION $.no() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NULL; END $f$;
    CREATE TRIGGER new BEFORE INSERT OR UPDATE ON $.deals FOR EACH ROW WHEN (NEW.id % 2 = 1) EXECUTE FUNCTION $.no();
    CREATE TRIGGER old BEFORE DELETE ON $.deals FOR EACH ROW WHEN (OLD.id % 2 = 1) EXECUTE FUNCTION $.no()";

async fn drops(lab: &Laboratory) {
    lab.client.batch_execute(&DROPS.replace("$.", &format!("{}.", lab.name))).await.unwrap();
}

#[tokio::test]
async fn rows_that_a_trigger_drops_are_counted_as_filtered() {
    for (mode, metadata, partitioned) in
        [("soft", "full", false), ("hard", "version", false), ("hard", "none", false), ("soft", "full", true)]
    {
        let theme = format!("{mode} {metadata} {partitioned}");
        let lab = Laboratory::new("drops").await;
        if partitioned {
            let create = "CREATE SCHEMA $;
                CREATE TABLE $.deals (id bigint PRIMARY KEY, a bigint, b text) PARTITION BY HASH (id);
                CREATE TABLE $.part PARTITION OF $.deals FOR VALUES WITH (MODULUS 1, REMAINDER 0)";
            lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
        }
        let mut feed = Feed::of(&lab, &[("delete.mode", mode), ("metadata.columns", metadata)]).await;
        feed.apply((1..9).map(|id| lab.whole(id, id, 1)).collect()).await;
        drops(&lab).await;
        // New rows, by COPY where it is expected and by the upsert.
        let applied = feed.apply((1_000..1_300).map(|id| lab.whole(id, id, 1)).collect()).await;
        assert_eq!((applied.inserted, applied.filtered), (150, 150), "{theme}: {applied:?}");
        let new = (1_300..1_304).map(|id| lab.whole(id, id, 1));
        let applied = feed.apply(new.chain((1..5).map(|id| lab.whole(1_400 + id, id, 2))).collect()).await;
        assert_eq!((applied.inserted, applied.updated, applied.filtered), (2, 2, 4), "{theme}: {applied:?}");
        let partial = |offset, id| lab.change(offset, id, RecordOp::Update, Some((3, "")), Some(vec![1]), None);
        let applied =
            feed.apply(vec![partial(1_500, 1), partial(1_501, 2), partial(1_502, 1_601), partial(1_503, 1_602)]).await;
        assert_eq!((applied.inserted, applied.updated, applied.filtered), (1, 1, 2), "{theme}: {applied:?}");
        let delete = |offset, id| lab.change(offset, id, RecordOp::Delete, None, None, None);
        let applied = feed.apply(vec![delete(1_600, 1), delete(1_601, 2)]).await;
        assert_eq!((applied.deleted, applied.filtered, letters(&applied)), (1, 1, 0), "{theme}: {applied:?}");
        let applied = feed.apply(vec![lab.tombstone(1_700, 3), lab.tombstone(1_701, 4)]).await;
        assert_eq!((applied.deleted, applied.filtered, letters(&applied)), (1, 1, 0), "{theme}: {applied:?}");
        assert_eq!(lab.ask("SELECT DISTINCT a FROM $.deals WHERE id % 2 = 1").await, ["1"], "{theme}");
    }
}
