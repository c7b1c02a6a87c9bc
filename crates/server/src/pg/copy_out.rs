//! COPY … TO STDOUT: rows of a table or a query as text, CSV or in PostgreSQL's binary form.
//!
//! The rows are those of a query, made while they are sent; only their wrapping differs from a result's. What the statement may say:
//! [`super::copy_statement`].

use bytes::{BufMut, BytesMut};
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::copy::{CopyDone, CopyOutResponse};
use query::{Outcome, OutputColumn, Param, Rows};
use wire::pg_copy::Form;

use super::conversation::{Conversation, Ran, complete};
use super::copy_statement::CopyOut;
use super::failure::{Failure, Stop};
use super::rows::{self, Format, Values};
use super::stream::Output;

/// What stands before the first row of binary data: a signature, no flags, no extension.
const BINARY_HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// The rows that a COPY sends, and how.
pub struct Copied {
    rows: Rows,
    copy: CopyOut,
}

impl Conversation {
    /// Begins a COPY to the client.
    pub(super) async fn copy_out(&mut self, sql: &str, params: &[Param]) -> Result<Ran, Stop> {
        let copy = CopyOut::read(sql)?;
        self.commit_implicit().await?;
        let outcome = self.session.execute(&copy.query, params).await;
        let outcome = outcome.map_err(|error| match copy.before {
            // the query is ours: its places mean nothing to the client
            0 => Failure { position: None, ..Failure::from(error) },
            before => Failure::from(error).shifted(before),
        })?;
        match outcome {
            Outcome::Rows(rows) => Ok(Ran::Copy(Box::new(Copied { rows, copy }))),
            _ => Err(Failure::error("42601", "COPY must have a query that answers rows").into()),
        }
    }
}

impl Copied {
    /// Sends everything, from the announcement to the tag.
    pub async fn send(mut self, output: &mut Output) -> Result<(), Stop> {
        let columns = self.rows.columns.clone();
        let count = i16::try_from(columns.len()).map_err(|_| Failure::error("54011", "COPY has too many columns"))?;
        let code = self.copy.code();
        output.put(Backend::CopyOutResponse(CopyOutResponse::new(code, count, vec![code.into(); columns.len()])))?;
        let forced: Vec<bool> = match &self.copy.form {
            Some(Form::Csv { force, .. }) => columns.iter().map(|c| force.covers(&c.name)).collect(),
            _ => vec![false; columns.len()],
        };
        let mut line = Line { head: self.copy.form.is_none(), ..Line::default() };
        if let Some(form) = self.copy.form.as_ref().filter(|_| self.copy.header) {
            line.names(form, &columns);
            line.put(output.buffer());
        }
        let mut sent: u64 = 0;
        while let Some(batch) = self.rows.next().await? {
            let values = Values::of(&batch, &columns)?;
            for row in 0..batch.num_rows() {
                line.row(self.copy.form.as_ref(), row, &values, &forced);
                line.put(output.buffer());
                output.flush_if_full().await?;
            }
            sent += batch.num_rows() as u64;
        }
        if self.copy.form.is_none() {
            line.begin();
            line.bytes.put_i16(-1);
            line.put(output.buffer());
        }
        output.put(Backend::CopyDone(CopyDone::new()))?;
        complete(output, &format!("COPY {sent}"))
    }
}

/// One row on its way into a message.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
    value: BytesMut,
    /// Binary data that has not begun: clients want its head and the first row in one message.
    head: bool,
}

impl Line {
    fn begin(&mut self) {
        self.bytes.clear();
        if std::mem::take(&mut self.head) {
            self.bytes.extend_from_slice(BINARY_HEAD);
        }
    }

    fn names(&mut self, form: &Form, columns: &[OutputColumn]) {
        self.begin();
        for (i, column) in columns.iter().enumerate() {
            if i > 0 {
                form.delimiter(&mut self.bytes);
            }
            form.value(&mut self.bytes, column.name.as_bytes(), columns.len() == 1, false);
        }
        self.bytes.push(b'\n');
    }

    fn row(&mut self, form: Option<&Form>, row: usize, values: &[Values<'_>], forced: &[bool]) {
        self.begin();
        let Some(form) = form else { return self.binary(row, values) };
        for (i, column) in values.iter().enumerate() {
            if i > 0 {
                form.delimiter(&mut self.bytes);
            }
            self.value.clear();
            if rows::write_value(&mut self.value, row, column, Format::Text) {
                form.value(&mut self.bytes, &self.value, values.len() == 1, forced[i]);
            } else {
                form.null(&mut self.bytes);
            }
        }
        self.bytes.push(b'\n');
    }

    fn binary(&mut self, row: usize, values: &[Values<'_>]) {
        self.bytes.put_u16(values.len() as u16);
        for column in values {
            self.value.clear();
            if rows::write_value(&mut self.value, row, column, Format::Binary) {
                self.bytes.put_u32(self.value.len() as u32);
                self.bytes.extend_from_slice(&self.value);
            } else {
                self.bytes.put_i32(-1);
            }
        }
    }

    fn put(&self, out: &mut BytesMut) {
        out.put_u8(b'd');
        out.put_u32(self.bytes.len() as u32 + 4);
        out.put_slice(&self.bytes);
    }
}
