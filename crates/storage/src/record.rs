//! What a commit frame holds: a list of [`Record`]s that take effect together.
//!
//! Rows are binary and columnar; everything else is JSON, so that it can be read by eye. Page: `docs/format/log.md`.

mod rows;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use types::{ColumnId, PartitionKey, Schema, Seq, TableId, TableName};

use self::rows::{Reader, count_rows, decode_rows, encode_rows};
use crate::chunk::{Chunk, ResolvedBatch};
use crate::segment::{DeadMeta, SegmentMeta};
use crate::snapshot::{FileRef, Pin, Standing};
use crate::symbols::SymbolFileMeta;
use crate::table::TableState;

/// One change. All records of a frame take effect at its Seq, or none does.
#[derive(Debug, Clone)]
pub enum Record {
    Rows(Rows),
    /// As `Rows`, made before the commit, or before the frame's turn comes in a replay.
    Ready(Box<ReadyRows>),
    Catalog(CatalogChange),
    View(ViewChange),
    Edit(Edit),
    /// A table comes into being with rows.
    Adopt(Box<Adopted>),
    /// A snapshot was taken: the state through this frame is pinned.
    Cut(Box<Pin>),
    /// The snapshot of that id is released.
    Release {
        id: String,
    },
    /// The snapshot of that id is kept from now on, or has another lease.
    Stand {
        id: String,
        standing: Standing,
    },
    /// The kept snapshot of that id has a base of its own.
    Settle {
        id: String,
        base: FileRef,
    },
}

/// Rows of one table, symbols as codes of the table's dictionaries.
#[derive(Debug, Clone)]
pub struct Rows {
    pub table: TableId,
    /// Codes that this record adds, in order; a record of no rows may add some for a later edit.
    pub new_symbols: Vec<NewSymbols>,
    pub batch: ResolvedBatch,
}

/// Rows of one table that add no codes, with what a commit makes of them.
#[derive(Debug, Clone)]
pub struct ReadyRows {
    pub table: TableId,
    /// The bytes of the record; gone once they are in a frame.
    pub payload: Vec<u8>,
    /// Seq and generation are set by the commit.
    pub chunk: Chunk,
}

/// Texts that get the codes from `first_code` on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSymbols {
    pub column: ColumnId,
    pub first_code: u32,
    pub texts: Vec<String>,
}

/// A change of what tables there are and how they look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum CatalogChange {
    Create {
        table: TableId,
        name: TableName,
        #[serde(deserialize_with = "crate::layout::relative_table_dir")]
        dir: String,
        schema: Schema,
    },
    /// The table is gone at once.
    Drop {
        table: TableId,
    },
    /// The table is dropped and may come back.
    SetAside {
        table: TableId,
        dropped_us: i64,
    },
    /// A table that was set aside comes back.
    Undrop {
        table: TableId,
        name: TableName,
    },
    /// A table that was set aside is gone.
    Purge {
        table: TableId,
    },
    Rename {
        table: TableId,
        name: TableName,
    },
    /// Columns were added, dropped or renamed: the whole new schema.
    Alter {
        table: TableId,
        schema: Schema,
    },
    Truncate {
        table: TableId,
    },
    /// Rows before a partition's start are too old and gone.
    Expire {
        table: TableId,
        before_us: i64,
    },
}

/// A change of what views of SQL there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum ViewChange {
    /// A view is made, or has another text.
    Set {
        view: TableId,
        name: TableName,
        text: String,
    },
    Drop {
        view: TableId,
    },
}

/// Why segments change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EditCause {
    Flush,
    Rewrite,
    DropPartitions,
    /// Segments were merged; a query sees nothing of it.
    Compact,
    /// The same rows in another format.
    ConvertPartitions,
    /// Rows that were detached come back, or rows go away that may come back.
    Attach,
    Detach,
}

impl EditCause {
    /// Returns whether a query sees nothing of the edit.
    pub fn only_moves(self) -> bool {
        matches!(self, EditCause::Flush | EditCause::Compact | EditCause::ConvertPartitions)
    }
}

/// Segments and symbol files that one table gains and loses.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Edit {
    pub table: TableId,
    pub cause: EditCause,
    /// Rows of the table up to this Seq are in segments (or gone) from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flushed_through: Option<Seq>,
    /// The table's last truncate when the edit was prepared: an edit prepared before a truncate is refused.
    pub truncate_seq: Seq,
    /// The table's last expiry in the run that prepared the edit: it must not bring back what was too old.
    #[serde(default)]
    pub expired_seq: Seq,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<RemovedSegment>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<AddedSegment>,
    /// Segments that stay, with more dead rows than before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dead: Vec<DeadRows>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub symbol_files: Vec<SymbolFileMeta>,
}

/// A segment that an edit takes away.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RemovedSegment {
    pub partition: PartitionKey,
    /// Relative to the table's directory.
    pub file: String,
    /// The delete vector that it had when the edit was prepared: rows that died since must not come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead: Option<String>,
}

impl RemovedSegment {
    /// Returns the removal of a segment as it is now.
    pub fn of(partition: PartitionKey, segment: &SegmentMeta) -> RemovedSegment {
        let dead = segment.dead.as_ref().map(|dead| dead.file.clone());
        RemovedSegment { partition, file: segment.file.clone(), dead }
    }
}

/// A segment that gets another delete vector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadRows {
    pub partition: PartitionKey,
    /// The segment, relative to the table's directory.
    pub file: String,
    /// The delete vector that it had when the edit was prepared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<String>,
    /// All dead rows, those of the former vector among them.
    pub dead: DeadMeta,
}

/// A segment that an edit brings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddedSegment {
    pub partition: PartitionKey,
    pub segment: SegmentMeta,
}

/// A table that begins with rows: its files were there before the frame that names them.
#[derive(Clone)]
pub struct Adopted {
    pub says: AdoptedTable,
    /// The table, made before the commit; a frame that is read makes it from the files.
    pub ready: Option<TableState>,
}

impl std::fmt::Debug for Adopted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.says.fmt(f)
    }
}

/// What a frame says of such a table; a replay reads the files that it names.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AdoptedTable {
    pub table: TableId,
    pub name: TableName,
    #[serde(deserialize_with = "crate::layout::relative_table_dir")]
    pub dir: String,
    pub schema: Schema,
    /// Symbol files by column, in the order of their codes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub symbol_files: Vec<SymbolFileMeta>,
    /// The table base that lists the segments; `None` when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<FileRef>,
}

impl AdoptedTable {
    /// Returns what is to be said of a table all of whose rows and symbols are in files; `segments` lists the former.
    pub fn of(table: &TableState, segments: Option<FileRef>) -> AdoptedTable {
        AdoptedTable {
            table: table.id,
            name: table.name.clone(),
            dir: table.dir.to_string(),
            schema: Schema::clone(&table.schema),
            symbol_files: table.symbols.values().flat_map(|symbols| symbols.files.iter().cloned()).collect(),
            segments,
        }
    }

    /// Returns the files that a replay reads.
    pub fn files(&self) -> impl Iterator<Item = FileRef> + '_ {
        let symbols = self.symbol_files.iter().map(|file| FileRef {
            file: format!("{}/{}", self.dir, file.file),
            len_bytes: file.len_bytes,
            crc32c: file.crc32c,
        });
        symbols.chain(self.segments.clone())
    }
}

const KIND_ROWS: u8 = 1;
const KIND_CATALOG: u8 = 2;
const KIND_EDIT: u8 = 3;
const KIND_CUT: u8 = 4;
const KIND_RELEASE: u8 = 5;
const KIND_STAND: u8 = 6;
const KIND_SETTLE: u8 = 7;
const KIND_ADOPT: u8 = 8;
const KIND_VIEW: u8 = 9;

#[derive(Serialize, Deserialize)]
struct ReleaseBody {
    id: String,
}

#[derive(Serialize, Deserialize)]
struct StandBody {
    id: String,
    #[serde(flatten)]
    standing: Standing,
}

#[derive(Serialize, Deserialize)]
struct SettleBody {
    id: String,
    base: FileRef,
}

/// Returns the payload of a commit frame. Bytes that are ready are moved out of their record.
pub fn take_payload(records: &mut [Record]) -> Vec<u8> {
    match records {
        [Record::Ready(ready)] => std::mem::take(&mut ready.payload),
        records => encode(records),
    }
}

/// Returns the payload of a commit frame.
pub fn encode(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::with_capacity(records.iter().map(expected_bytes).sum());
    for record in records {
        match record {
            Record::Rows(rows) => put_record(&mut out, KIND_ROWS, |out| encode_rows(rows, out)),
            Record::Ready(ready) => out.extend_from_slice(&ready.payload),
            Record::Catalog(change) => put_record(&mut out, KIND_CATALOG, |out| put_json(out, change)),
            Record::View(change) => put_record(&mut out, KIND_VIEW, |out| put_json(out, change)),
            Record::Edit(edit) => put_record(&mut out, KIND_EDIT, |out| put_json(out, edit)),
            Record::Adopt(adopted) => put_record(&mut out, KIND_ADOPT, |out| put_json(out, &adopted.says)),
            Record::Cut(pin) => put_record(&mut out, KIND_CUT, |out| put_json(out, pin)),
            Record::Release { id } => {
                put_record(&mut out, KIND_RELEASE, |out| put_json(out, &ReleaseBody { id: id.clone() }));
            }
            Record::Stand { id, standing } => {
                let body = StandBody { id: id.clone(), standing: *standing };
                put_record(&mut out, KIND_STAND, |out| put_json(out, &body));
            }
            Record::Settle { id, base } => {
                let body = SettleBody { id: id.clone(), base: base.clone() };
                put_record(&mut out, KIND_SETTLE, |out| put_json(out, &body));
            }
        }
    }
    out
}

/// Returns the bytes of one record of rows.
pub fn encode_one(rows: &Rows) -> Vec<u8> {
    let mut out = Vec::with_capacity(rows_bytes(rows));
    put_record(&mut out, KIND_ROWS, |out| encode_rows(rows, out));
    out
}

fn put_record(out: &mut Vec<u8>, kind: u8, put_body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    put_body(out);
    let len = (out.len() - start - 8) as u32;
    out[start] = kind;
    out[start + 4..start + 8].copy_from_slice(&len.to_le_bytes());
}

/// Returns about how many bytes a record takes, so that many rows are not moved while they are written.
fn expected_bytes(record: &Record) -> usize {
    match record {
        Record::Rows(rows) => rows_bytes(rows),
        Record::Ready(ready) => ready.payload.len(),
        _ => 0,
    }
}

fn rows_bytes(rows: &Rows) -> usize {
    let texts = rows.new_symbols.iter().flat_map(|new| &new.texts).map(|text| text.len() + 4);
    64 + texts.sum::<usize>() + rows.batch.columns.iter().map(|c| c.data.size_bytes() + 32).sum::<usize>()
}

fn put_json(out: &mut Vec<u8>, body: &impl Serialize) {
    serde_json::to_writer(out, body).expect("a record has text keys only");
}

/// Returns the records of a frame's payload.
///
/// # Errors
/// What is wrong with the bytes; their checksum was right, so another version wrote them.
pub fn decode(payload: &[u8]) -> Result<Vec<Record>, String> {
    decode_but(payload, false)
}

/// As [`decode`], but that records of rows say how many there are and nothing else: their structure is looked at, and that
/// texts are UTF-8.
pub fn decode_without_values(payload: &[u8]) -> Result<Vec<Record>, String> {
    decode_but(payload, true)
}

fn decode_but(payload: &[u8], without_values: bool) -> Result<Vec<Record>, String> {
    let mut reader = Reader { bytes: payload };
    let mut records = Vec::new();
    while !reader.bytes.is_empty() {
        let head = reader.take(8)?;
        let len = u32::from_le_bytes(head[4..8].try_into().expect("four bytes were sliced")) as usize;
        let kind = head[0];
        let body = reader.take(len)?;
        records.push(match kind {
            KIND_ROWS if without_values => Record::Rows(count_rows(body)?),
            KIND_ROWS => Record::Rows(decode_rows(body)?),
            KIND_CATALOG => Record::Catalog(parse(body)?),
            KIND_VIEW => Record::View(parse(body)?),
            KIND_EDIT => {
                let edit: Edit = parse(body)?;
                edit.added.iter().try_for_each(|added| added.segment.check())?;
                Record::Edit(edit)
            }
            KIND_ADOPT => Record::Adopt(Box::new(Adopted { says: parse(body)?, ready: None })),
            KIND_CUT => Record::Cut(parse(body)?),
            KIND_RELEASE => Record::Release { id: parse::<ReleaseBody>(body)?.id },
            KIND_STAND => {
                let StandBody { id, standing } = parse(body)?;
                Record::Stand { id, standing }
            }
            KIND_SETTLE => {
                let SettleBody { id, base } = parse(body)?;
                Record::Settle { id, base }
            }
            other => return Err(format!("record kind {other} is unknown to this version")),
        });
    }
    Ok(records)
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|e| format!("record is not understood: {e}"))
}
