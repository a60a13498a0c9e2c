//! Statements in flight, in order.
//!
//! A connection delivers the answer to one request before it reads the answer to the next, and blocks until the answer
//! is received. A caller that waits for anything else on the connection must therefore receive the answers of
//! statements in flight meanwhile: see [`Pipeline::run_alongside`].

use std::{pin::pin, task::Poll};

use futures::{
    future::BoxFuture,
    stream::{FuturesOrdered, StreamExt as _},
};
use tokio_postgres::{Client, Error, Row as PgRow, Statement as Prepared};

use crate::{fold::Row, statement::Statement};

/// The kind of a statement, which decides how to count its rows from the row that it returns.
#[derive(Debug, Clone, Copy)]
pub(crate) enum StatementKind {
    Upsert,
    Patch {
        /// Missing rows are inserted.
        inserts: bool,
    },
    Remove,
    DeleteByTombstone {
        /// Missing rows are inserted, marked as deleted.
        remembers: bool,
    },
}

/// The answer to a statement.
pub(crate) struct Answered<'s, 'a> {
    pub(crate) kind: StatementKind,
    /// The rows of the statement.
    pub(crate) rows: Vec<&'s Row<'a>>,
    pub(crate) answer: Result<PgRow, Error>,
}

/// The statements of one transaction: in flight, and answered.
#[derive(Default)]
pub(crate) struct Pipeline<'s, 'a> {
    sent: FuturesOrdered<BoxFuture<'s, Answered<'s, 'a>>>,
    answered: Vec<Answered<'s, 'a>>,
}

impl<'s, 'a: 's> Pipeline<'s, 'a> {
    /// Sends a statement without waiting for its answer.
    pub(crate) async fn send(
        &mut self,
        client: &'s Client,
        prepared: Prepared,
        statement: Statement,
        kind: StatementKind,
        rows: Vec<&'s Row<'a>>,
    ) {
        self.sent.push_back(Box::pin(async move {
            let answer = client.query_one(&prepared, &statement.parameters()).await;
            Answered { kind, rows, answer }
        }));
        // The first poll sends it.
        while let Poll::Ready(Some(answered)) = futures::poll!(self.sent.next()) {
            self.answered.push(answered);
        }
    }

    /// Awaits a future that uses the same connection, and receives answers meanwhile.
    pub(crate) async fn run_alongside<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = pin!(other);
        loop {
            tokio::select! {
                biased;
                done = &mut other => return done,
                Some(answered) = self.sent.next() => self.answered.push(answered),
            }
        }
    }

    /// Waits for all answers, and returns them in the order of their statements.
    pub(crate) async fn finish(mut self) -> Vec<Answered<'s, 'a>> {
        while let Some(answered) = self.sent.next().await {
            self.answered.push(answered);
        }
        self.answered
    }
}
