//! Ceilings of the same database without Towpath: binary COPY, and the guarded upsert, fed from memory on one
//! connection.
//!
//! The writer runs the plain guarded upsert that such a sink would start from, `INSERT … SELECT FROM unnest … ON
//! CONFLICT … WHERE newer`, with the sink's session settings and 5,000 rows per transaction: no compare-and-set, no
//! folding, no decoding, no counting of new rows. All its parameters are built before the clock starts. A second run
//! adds the offset's compare-and-set before each statement.

use std::time::Instant;

use futures::SinkExt as _;
use tokio_postgres::{Client, NoTls};

use crate::{
    Rounds,
    deals::{COLUMNS, ROWS, amount, id},
    process::env,
};

/// Rows per second.
pub(crate) struct Ceilings {
    pub(crate) copy: f64,
    pub(crate) writer_insert: f64,
    pub(crate) writer_update: f64,
}

const BATCH: i64 = 5_000;

pub(crate) async fn connect() -> Client {
    let (client, connection) =
        tokio_postgres::connect(&env("DATABASE_URL"), NoTls).await.expect("the database answers");
    tokio::spawn(connection);
    client
}

fn create(table: &str) -> String {
    format!(
        "DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (id text PRIMARY KEY, {COLUMNS}, 
         _towpath_ts bigint NOT NULL,
         _towpath_seq bigint NOT NULL, _towpath_offset bigint NOT NULL, _towpath_applied_at timestamptz NOT NULL,
         _towpath_partition integer NOT NULL, _towpath_deleted boolean NOT NULL); CHECKPOINT"
    )
}

pub(crate) async fn measure(rounds: &mut Rounds) -> Ceilings {
    let client = connect().await;
    let copy = copy(&client).await;
    let (writer_insert, writer_update) = writer(&client, false).await;
    let (offset_insert, offset_update) = writer(&client, true).await;
    client.batch_execute("DROP TABLE bench_copy, bench_writer, bench_offset; CHECKPOINT").await.expect("the tables go");
    rounds.note("copy_rows_per_s", copy);
    rounds.note("writer_insert_rows_per_s", writer_insert);
    rounds.note("writer_update_rows_per_s", writer_update);
    rounds.note("offset_row_ratio", f64::midpoint(offset_insert / writer_insert, offset_update / writer_update));
    Ceilings { copy, writer_insert, writer_update }
}

/// Copies all rows in one transaction. The data is built before the clock starts, in the binary format of COPY.
async fn copy(client: &Client) -> f64 {
    client.batch_execute(&create("bench_copy")).await.expect("a table");
    let chunks: Vec<bytes::Bytes> = copy_chunks();
    let begun = Instant::now();
    let sink = client.copy_in::<_, bytes::Bytes>("COPY bench_copy FROM STDIN BINARY").await.expect("COPY begins");
    futures::pin_mut!(sink);
    for chunk in chunks {
        sink.send(chunk).await.expect("COPY accepts the data");
    }
    let rows = sink.finish().await.expect("COPY ends");
    assert_eq!(i64::try_from(rows), Ok(ROWS));
    rate(ROWS, begun)
}

fn copy_chunks() -> Vec<bytes::Bytes> {
    use bytes::BufMut as _;
    let mut chunks = Vec::new();
    let mut out = bytes::BytesMut::new();
    out.put_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
    let field = |out: &mut bytes::BytesMut, bytes: &[u8]| {
        out.put_i32(i32::try_from(bytes.len()).expect("small"));
        out.put_slice(bytes);
    };
    for number in 0..ROWS {
        out.put_i16(18);
        field(&mut out, id(number).as_bytes());
        field(&mut out, &(number % 500).to_be_bytes());
        field(&mut out, format!("Deal number {number}").as_bytes());
        // numeric: one or two groups before the decimal point, one after it, scale 2.
        let amount = amount(number, 0);
        let (high, low, fraction) = (amount / 100 / 10_000, amount / 100 % 10_000, amount % 100 * 100);
        let numeric: Vec<u8> = [3, 1, 0, 2, high, low, fraction]
            .iter()
            .flat_map(|part| i16::try_from(*part).expect("small").to_be_bytes())
            .collect();
        field(&mut out, &numeric);
        field(&mut out, b"EUR");
        field(&mut out, &0.05_f64.to_be_bytes());
        field(&mut out, &[u8::from(number % 2 == 0)]);
        field(&mut out, &(20_000 + i32::try_from(number % 365).expect("small") - 10_957).to_be_bytes());
        field(&mut out, &((1_760_000_000_000 + number * 1_000) * 1_000 - 946_684_800_000_000).to_be_bytes());
        field(&mut out, ["open", "won", "lost"][usize::try_from(number % 3).expect("small")].as_bytes());
        field(&mut out, &i32::try_from(number % 100).expect("small").to_be_bytes());
        out.put_i32(-1);
        field(&mut out, &0_i64.to_be_bytes());
        field(&mut out, &number.to_be_bytes());
        field(&mut out, &number.to_be_bytes());
        field(&mut out, &800_000_000_000_000_i64.to_be_bytes());
        field(&mut out, &0_i32.to_be_bytes());
        field(&mut out, &[0]);
        if out.len() > 1 << 16 {
            chunks.push(out.split().freeze());
        }
    }
    out.put_i16(-1);
    chunks.push(out.freeze());
    chunks
}

/// One column of a batch.
type Column = Box<dyn tokio_postgres::types::ToSql + Sync + Send>;

fn columns(from: i64, pass: i64) -> Vec<Column> {
    use std::str::FromStr as _;
    let numbers = || from..from + BATCH;
    let date = |number: i64| {
        jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(20_000 + number % 365)).expect("a day")
    };
    vec![
        Box::new(numbers().map(id).collect::<Vec<_>>()),
        Box::new(numbers().map(|number| number % 500).collect::<Vec<_>>()),
        Box::new(numbers().map(|number| format!("Deal number {number}")).collect::<Vec<_>>()),
        Box::new(
            numbers()
                .map(|number| {
                    rust_decimal::Decimal::from_str(&format!(
                        "{}.{:02}",
                        amount(number, pass) / 100,
                        amount(number, pass) % 100
                    ))
                    .expect("a number")
                })
                .collect::<Vec<_>>(),
        ),
        Box::new(numbers().map(|_| "EUR").collect::<Vec<_>>()),
        Box::new(numbers().map(|_| 0.05_f64).collect::<Vec<_>>()),
        Box::new(numbers().map(|number| number % 2 == 0).collect::<Vec<_>>()),
        Box::new(numbers().map(date).collect::<Vec<_>>()),
        Box::new(
            numbers()
                .map(|number| jiff::Timestamp::from_millisecond(1_760_000_000_000 + number * 1_000).expect("a time"))
                .collect::<Vec<_>>(),
        ),
        Box::new(
            numbers()
                .map(|number| ["open", "won", "lost"][usize::try_from(number % 3).expect("small")])
                .collect::<Vec<_>>(),
        ),
        Box::new(numbers().map(|number| i32::try_from(number % 100).expect("small")).collect::<Vec<_>>()),
        Box::new(numbers().map(|_| None::<&str>).collect::<Vec<_>>()),
        Box::new(numbers().map(|_| 0_i64).collect::<Vec<_>>()),
        Box::new(numbers().map(|number| number + pass * ROWS).collect::<Vec<_>>()),
        Box::new(numbers().map(|number| number + pass * ROWS).collect::<Vec<_>>()),
    ]
}

/// The guarded upsert with 5,000 rows per transaction; batches are in memory before the clock starts. With `offset`,
/// each transaction begins with the compare-and-set of an offset.
async fn writer(client: &Client, offset: bool) -> (f64, f64) {
    client.batch_execute(&create("bench_writer")).await.expect("a table");
    let offsets = "DROP TABLE IF EXISTS bench_offset; CREATE TABLE bench_offset (partition integer PRIMARY KEY,
                   next_offset bigint NOT NULL)
                   WITH (fillfactor = 50); INSERT INTO bench_offset VALUES (0, 0)";
    client.batch_execute(offsets).await.expect("a table");
    let names = "agent_id, title, amount, currency, rate, won, booked_on, closed_at, stage, seats, note,
        _towpath_ts, _towpath_seq, _towpath_offset";
    let assign: Vec<String> = names.split(',').map(|name| format!("{0} = EXCLUDED.{0}", name.trim())).collect();
    let sql = format!(
        "INSERT INTO bench_writer AS t (id, {names}, _towpath_applied_at, _towpath_partition, _towpath_deleted)
         SELECT *, now(), 0, false FROM unnest($1::text[], $2::bigint[], $3::text[], $4::numeric[], $5::text[],
            $6::double precision[], $7::boolean[], $8::date[], $9::timestamptz[],
            $10::text[], $11::integer[], $12::text[],
            $13::bigint[], $14::bigint[], $15::bigint[])
         ON CONFLICT (id) DO UPDATE SET {}, _towpath_applied_at = EXCLUDED._towpath_applied_at,
            _towpath_partition = EXCLUDED._towpath_partition, _towpath_deleted = EXCLUDED._towpath_deleted
         WHERE (EXCLUDED._towpath_ts, EXCLUDED._towpath_seq) > (t._towpath_ts, t._towpath_seq)",
        assign.join(", ")
    );
    client.batch_execute("SET plan_cache_mode = force_generic_plan").await.expect("a setting");
    let statement = client.prepare(&sql).await.expect("the statement is one");
    let compare_and_set =
        "UPDATE bench_offset SET next_offset = next_offset + 1 WHERE partition = 0 AND next_offset = $1";
    let compare_and_set = client.prepare(compare_and_set).await.expect("the statement is one");
    let mut rates = [0.0; 2];
    let mut next = 0_i64;
    for (pass, rate_of) in rates.iter_mut().enumerate() {
        let pass = i64::try_from(pass).expect("small");
        let batches: Vec<_> = (0..ROWS / BATCH).map(|batch| columns(batch * BATCH, pass)).collect();
        let begun = Instant::now();
        for batch in &batches {
            let parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
                batch.iter().map(|column| column.as_ref() as _).collect();
            let upsert = client.execute(&statement, &parameters);
            let written = if offset {
                let (transaction, set, written) = futures::join!(
                    client.batch_execute("BEGIN"),
                    async { client.execute(&compare_and_set, &[&next]).await },
                    upsert
                );
                transaction.expect("the transaction begins");
                assert_eq!(set.expect("the offset is set"), 1);
                client.batch_execute("COMMIT").await.expect("the transaction commits");
                next += 1;
                written
            } else {
                upsert.await
            };
            assert_eq!(i64::try_from(written.expect("rows are written")), Ok(BATCH));
        }
        *rate_of = rate(ROWS, begun);
    }
    (rates[0], rates[1])
}

#[expect(clippy::cast_precision_loss, reason = "a count of rows")]
pub(crate) fn rate(rows: i64, begun: Instant) -> f64 {
    rows as f64 / begun.elapsed().as_secs_f64()
}
