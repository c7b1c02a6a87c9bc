//! COPY … FROM STDIN: rows of a client as text, CSV or in PostgreSQL's binary form, stored as one commit.
//!
//! Data are read as they come; what is kept of them until the end are the rows in their columns. An error, and a client that gives
//! up or goes, leave nothing. What the statement may say: [`super::copy_statement`]; bytes to records: [`wire::pg_copy_in`].

use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::copy::CopyInResponse;
use query::CopyTarget;
use query::kind::Kind;
use types::memory::{Purpose, Share};
use types::{Column, ColumnData, RowBatch};
use wire::pg_copy_in::value::{push_binary, push_text};
use wire::pg_copy_in::{BadCopy, Record, Records};
use wire::pg_frontend::Frontend;

use super::conversation::{Conversation, Ran, Transaction, complete};
use super::copy_statement::{CopyIn, Header};
use super::failure::{Failure, Stop};
use super::rows;
use super::stream::Output;

/// Bytes of rows that are one batch of the commit.
const BATCH_BYTES: usize = 16 << 20;
/// Rows after which it is seen how many bytes they have.
const LOOK_ROWS: usize = 1_024;

/// A COPY whose data are on their way.
pub struct Copying {
    target: CopyTarget,
    binary: bool,
    header: Header,
    records: Records,
    record: Record,
    /// Object ids of the columns.
    oids: Vec<u32>,
    /// Rows that no batch holds yet.
    columns: Vec<ColumnData>,
    rows: usize,
    batches: Vec<RowBatch>,
    /// Records read, the header too.
    line: u64,
    stored: u64,
    share: Share,
    begun: Begun,
}

/// What a COPY is part of.
pub enum Begun {
    /// A text of statements of which these are left, behind so many characters.
    Simple {
        rest: String,
        before: usize,
    },
    Extended,
}

impl Conversation {
    /// Begins a COPY from the client.
    pub(super) async fn copy_in(&mut self, sql: &str, last: bool) -> Result<Ran, Stop> {
        let copy = CopyIn::read(sql)?;
        let target = self.session.copy_target(&copy.table, &copy.columns)?;
        if self.transaction == Transaction::None && !last {
            self.session.execute("BEGIN", &[]).await?;
            self.transaction = Transaction::Implicit;
        }
        Ok(Ran::CopyIn(Box::new(Copying {
            binary: copy.form.is_none(),
            header: copy.header,
            records: Records::new(copy.form),
            record: Record::default(),
            oids: target.columns().iter().map(|column| rows::oid(Kind::from(column.column_type))).collect(),
            columns: target.columns().iter().map(|column| ColumnData::new(column.column_type)).collect(),
            rows: 0,
            batches: Vec::new(),
            line: 0,
            stored: 0,
            share: self.memory.share(Purpose::Buffers),
            begun: Begun::Extended,
            target,
        })))
    }

    /// Asks the client for the data.
    pub(super) async fn ask_for_copy(
        &mut self,
        mut copying: Box<Copying>,
        begun: Begun,
        output: &mut Output,
    ) -> Result<(), Stop> {
        let count = copying.columns.len();
        let columns = i16::try_from(count).map_err(|_| Failure::error("54011", "COPY has too many columns"))?;
        let code = i8::from(copying.binary);
        let answer = CopyInResponse::new(code, columns, vec![code.into(); count]);
        output.put(Backend::CopyInResponse(answer))?;
        copying.begun = begun;
        self.copying = Some(copying);
        Ok(output.flush().await?)
    }

    /// Returns whether a COPY waits for its data, and whether the extended protocol began it.
    pub(super) fn copies(&self) -> Option<bool> {
        self.copying.as_ref().map(|copying| matches!(copying.begun, Begun::Extended))
    }

    /// Serves a message while a COPY waits for its data. Whatever ends with an error ends the COPY.
    pub(super) async fn serve_copy(&mut self, message: Frontend, output: &mut Output) -> Result<(), Stop> {
        // taken out while it is worked on: nothing is left of it behind an error
        let Some(mut copying) = self.copying.take() else { return Ok(()) };
        match message {
            Frontend::CopyData(bytes) => {
                copying.take_in(&bytes)?;
                self.copying = Some(copying);
                Ok(())
            }
            // as PostgreSQL does: clients send these behind Execute, before they know that it is a COPY
            Frontend::Flush | Frontend::Sync => {
                self.copying = Some(copying);
                Ok(())
            }
            Frontend::CopyDone => self.copy_done(*copying, output).await,
            Frontend::CopyFail(why) => Err(Failure::error("57014", format!("COPY from stdin failed: {why}")).into()),
            _ => Err(Failure::error("08P01", "unexpected message during COPY from stdin").into()),
        }
    }

    async fn copy_done(&mut self, mut copying: Copying, output: &mut Output) -> Result<(), Stop> {
        copying.read(true)?;
        copying.end_batch()?;
        let batches = std::mem::take(&mut copying.batches);
        self.session.store_copied(&copying.target, batches).await?;
        match copying.begun {
            Begun::Extended => {
                complete(output, &format!("COPY {}", copying.stored))?;
                Ok(output.flush_if_full().await?)
            }
            Begun::Simple { rest, before } => {
                if rest.is_empty() {
                    self.commit_implicit().await?;
                }
                complete(output, &format!("COPY {}", copying.stored))?;
                self.simple_query(&rest, before, output).await
            }
        }
    }
}

impl Copying {
    fn take_in(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.records.add(bytes).map_err(|bad| self.bad(bad))?;
        self.read(false)
    }

    /// Reads all records that are whole.
    fn read(&mut self, last: bool) -> Result<(), Failure> {
        loop {
            let mut record = std::mem::take(&mut self.record);
            let is_there = self.records.next(last, &mut record).map_err(|bad| self.bad(bad))?;
            if is_there {
                self.line += 1;
                self.take_record(&record)?;
            }
            self.record = record;
            if !is_there {
                return Ok(());
            }
        }
    }

    fn take_record(&mut self, record: &Record) -> Result<(), Failure> {
        match std::mem::take(&mut self.header) {
            Header::No => {}
            Header::Yes => return Ok(()),
            Header::Match => return self.match_header(record),
        }
        let columns = self.target.columns();
        if record.len() != columns.len() {
            let message = match columns.get(record.len()) {
                Some(missing) => format!("missing data for column \"{}\"", missing.name),
                None => "extra data after last expected column".to_owned(),
            };
            return Err(self.wrong("22P04", &message));
        }
        for i in 0..record.len() {
            self.push(i, record.field(i))?;
        }
        self.rows += 1;
        self.stored += 1;
        if self.rows.is_multiple_of(LOOK_ROWS) && self.bytes() > BATCH_BYTES {
            self.end_batch()?;
        }
        Ok(())
    }

    fn match_header(&self, record: &Record) -> Result<(), Failure> {
        for (i, column) in self.target.columns().iter().enumerate() {
            let name = String::from_utf8_lossy(record.field(i).unwrap_or_default());
            if !name.eq_ignore_ascii_case(&column.name) {
                let message = format!("column name mismatch in header line: got \"{name}\", not \"{}\"", column.name);
                return Err(self.wrong("22P04", &message));
            }
        }
        match record.len() == self.target.columns().len() {
            true => Ok(()),
            false => Err(self.wrong("22P04", "wrong number of fields in header line")),
        }
    }

    fn push(&mut self, i: usize, field: Option<&[u8]>) -> Result<(), Failure> {
        let column_type = self.target.columns()[i].column_type;
        let data = &mut self.columns[i];
        let taken = match field {
            None => {
                data.push_null();
                true
            }
            Some(bytes) if self.binary => push_binary(data, column_type, self.oids[i], bytes),
            Some(bytes) => std::str::from_utf8(bytes).is_ok_and(|text| push_text(data, column_type, text)),
        };
        let column = &self.target.columns()[i].name;
        if !taken {
            let bytes = field.unwrap_or_default();
            let (code, message) = match std::str::from_utf8(bytes) {
                _ if self.binary => ("22P03", format!("incorrect binary data format, column {column}")),
                Ok(text) => {
                    ("22P02", format!("inconvertible value: `{text}` [STRING -> {column_type}], column {column}"))
                }
                Err(_) => ("22021", format!("invalid byte sequence for encoding \"UTF8\", column {column}")),
            };
            return Err(self.wrong(code, &message));
        }
        let is_moment = || matches!(&self.columns[i], ColumnData::I64(times) if times.last().is_some_and(|&t| t >= 0));
        if self.target.designated() == Some(i) && !is_moment() {
            let message = match field {
                None => "designated timestamp column cannot be NULL",
                Some(_) => "designated timestamp before 1970-01-01 is not allowed",
            };
            return Err(self.wrong("22008", message));
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.columns.iter().map(ColumnData::size_bytes).sum()
    }

    /// Makes a batch of the rows that no batch holds yet.
    fn end_batch(&mut self) -> Result<(), Failure> {
        let bytes = self.bytes();
        self.share.try_grow(bytes).map_err(|full| {
            let hint = "copy fewer rows at a time, or raise memory.limit";
            self.wrong("53200", &format!("not enough memory for the rows of a COPY: {full}")).hint(hint)
        })?;
        let columns = self.target.columns().iter().zip(&mut self.columns).map(|(column, data)| Column {
            id: column.id,
            data: std::mem::replace(data, ColumnData::new(column.column_type)),
        });
        let batch = RowBatch::new(std::mem::take(&mut self.rows), columns.collect());
        self.batches.push(batch.map_err(|error| Failure::error("XX000", error.to_string()))?);
        Ok(())
    }

    fn bad(&self, bad: BadCopy) -> Failure {
        self.wrong("22P04", &bad.to_string())
    }

    /// Returns an error of the record that was read last.
    fn wrong(&self, code: &'static str, message: &str) -> Failure {
        Failure::error(code, format!("{message} (COPY {}, line {})", self.target.name(), self.line))
    }
}
