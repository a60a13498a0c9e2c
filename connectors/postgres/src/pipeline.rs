//! Statements that are on their way, in their order.
//!
//! A connection hands on the answer to one request before it looks at that of the next, and waits while nobody takes
//! it. So whoever waits for something else on a connection with statements on their way has to take their answers
//! meanwhile ([`Pipeline::run_alongside`]).

use std::{pin::pin, task::Poll};

use futures::{
    future::BoxFuture,
    stream::{FuturesOrdered, StreamExt as _},
};
use tokio_postgres::{Client, Error, Row as PgRow, Statement as Prepared};

use crate::{fold::Row, statement::Statement};

/// How the rows of a statement are counted from the row that it returns.
#[derive(Debug, Clone, Copy)]
pub(crate) enum StatementKind {
    Upsert,
    Patch,
    Remove,
    DeleteByTombstone,
}

/// A statement with its answer.
pub(crate) struct Answered<'s, 'a> {
    pub(crate) kind: StatementKind,
    /// The rows that it was for.
    pub(crate) rows: Vec<&'s Row<'a>>,
    pub(crate) answer: Result<PgRow, Error>,
}

/// Statements of one transaction: sent, and answered.
#[derive(Default)]
pub(crate) struct Pipeline<'s, 'a> {
    sent: FuturesOrdered<BoxFuture<'s, Answered<'s, 'a>>>,
    answered: Vec<Answered<'s, 'a>>,
}

impl<'s, 'a: 's> Pipeline<'s, 'a> {
    /// Whether nothing was sent yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.sent.is_empty() && self.answered.is_empty()
    }

    /// Sends a statement behind those that are on their way, without waiting for its answer.
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

    /// Waits for something else that goes over the same connection, and takes answers meanwhile.
    pub(crate) async fn run_alongside<T>(&mut self, something: impl Future<Output = T>) -> T {
        let mut something = pin!(something);
        loop {
            tokio::select! {
                biased;
                done = &mut something => return done,
                Some(answered) = self.sent.next() => self.answered.push(answered),
            }
        }
    }

    /// Waits for all answers, and gives them in the order in which their statements were sent.
    pub(crate) async fn finish(mut self) -> Vec<Answered<'s, 'a>> {
        while let Some(answered) = self.sent.next().await {
            self.answered.push(answered);
        }
        self.answered
    }
}
