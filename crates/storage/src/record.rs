//! What a commit frame holds: a list of [`Record`]s that take effect together.
//!
//! Rows are binary and columnar; everything else is JSON, so that it can be read by eye. Page: `docs/format/log.md`.

use arrow_buffer::{ArrowNativeType, ToByteSlice};
use serde::{Deserialize, Serialize};
use types::{ArrayColumn, ColumnData, ColumnId, ColumnType, PartitionKey, Schema, Seq, StrColumn, SymbolColumn};
use types::{TableId, TableName};

use crate::chunk::{Chunk, ResolvedBatch, ResolvedColumn};
use crate::segment::{DeadMeta, SegmentMeta};
use crate::snapshot::{FileRef, Pin, Standing};
use crate::symbols::SymbolFileMeta;
use crate::table::TableState;

/// One change. All records of a frame take effect at its Seq, or none does.
#[derive(Debug, Clone)]
pub enum Record {
    Rows(Rows),
    /// As `Rows`, made before the commit; a frame that is read never has it.
    Ready(Box<ReadyRows>),
    Catalog(CatalogChange),
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
    decode_but(payload, |_| false)
}

/// As [`decode`], without the rows.
pub fn decode_changes(payload: &[u8]) -> Result<Vec<Record>, String> {
    decode_but(payload, |kind| kind == KIND_ROWS)
}

fn decode_but(payload: &[u8], skip: impl Fn(u8) -> bool) -> Result<Vec<Record>, String> {
    let mut reader = Reader { bytes: payload };
    let mut records = Vec::new();
    while !reader.bytes.is_empty() {
        let head = reader.take(8)?;
        let len = u32::from_le_bytes(head[4..8].try_into().expect("four bytes were sliced")) as usize;
        let kind = head[0];
        let body = reader.take(len)?;
        if skip(kind) {
            continue;
        }
        records.push(match kind {
            KIND_ROWS => Record::Rows(decode_rows(body)?),
            KIND_CATALOG => Record::Catalog(parse(body)?),
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

fn put_u32(out: &mut Vec<u8>, n: usize) {
    out.extend_from_slice(&u32::try_from(n).expect("counts of a frame fit 32 bits").to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_u32(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn encode_rows(rows: &Rows, out: &mut Vec<u8>) {
    out.extend_from_slice(&rows.table.0.to_le_bytes());
    put_u32(out, rows.batch.rows);
    put_u32(out, rows.new_symbols.len());
    for new in &rows.new_symbols {
        put_u32(out, new.column.0 as usize);
        put_u32(out, new.first_code as usize);
        put_u32(out, new.texts.len());
        for text in &new.texts {
            put_text(out, text);
        }
    }
    put_u32(out, rows.batch.columns.len());
    for column in &rows.batch.columns {
        put_u32(out, column.id.0 as usize);
        out.push(column.column_type.tag());
        out.extend_from_slice(&column.column_type.parameters());
        encode_values(&column.data, out);
    }
}

fn encode_values(data: &ColumnData, out: &mut Vec<u8>) {
    match data {
        ColumnData::Boolean(v) => out.extend(v.iter().map(|&b| u8::from(b))),
        ColumnData::I8(v) => put_numbers(out, v),
        ColumnData::I16(v) => put_numbers(out, v),
        ColumnData::U16(v) => put_numbers(out, v),
        ColumnData::U32(v) => put_numbers(out, v),
        ColumnData::F32(v) => put_numbers(out, v),
        ColumnData::Decimal128(v) => put_numbers(out, v),
        ColumnData::Fixed16(v) => out.extend_from_slice(v.as_flattened()),
        ColumnData::Fixed32(v) | ColumnData::Decimal256(v) => out.extend_from_slice(v.as_flattened()),
        ColumnData::I32(v) => put_numbers(out, v),
        ColumnData::I64(v) => put_numbers(out, v),
        ColumnData::F64(v) => put_numbers(out, v),
        ColumnData::Symbol(v) => put_numbers(out, &v.codes),
        ColumnData::Str(v) => put_variable(out, v.iter().map(|text| text.map(str::as_bytes))),
        ColumnData::Binary(v) => put_variable(out, v.iter()),
        ColumnData::Array(v) => {
            // Per row a mark (1 is NULL) and the lengths, then the values of all rows.
            for row in v.iter() {
                out.push(u8::from(row.is_none()));
                let lengths = row.map_or_else(|| vec![0; v.dims()], |(shape, _)| shape.to_vec());
                out.extend(lengths.iter().flat_map(|n| n.to_le_bytes()));
            }
            put_numbers(out, v.values());
        }
    }
}

/// Numbers in the log are little-endian, as are those of the segments that are mapped.
const _: () = assert!(cfg!(target_endian = "little"), "stored numbers are those of a little-endian machine");

fn put_numbers<T: ArrowNativeType>(out: &mut Vec<u8>, numbers: &[T]) {
    out.extend_from_slice(numbers.to_byte_slice());
}

/// Writes lengths, `u32::MAX` for NULL, then the bytes of all values.
fn put_variable<'a>(out: &mut Vec<u8>, values: impl Iterator<Item = Option<&'a [u8]>> + Clone) {
    for value in values.clone() {
        put_u32(out, value.map_or(u32::MAX as usize, <[u8]>::len));
    }
    for value in values.flatten() {
        out.extend_from_slice(value);
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        if n > self.bytes.len() {
            return Err(format!("record ends {} bytes early", n - self.bytes.len()));
        }
        let (head, rest) = self.bytes.split_at(n);
        self.bytes = rest;
        Ok(head)
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes were taken")))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes were taken")))
    }

    fn text(&mut self) -> Result<String, String> {
        let len = self.u32()? as usize;
        text(self.take(len)?)
    }

    /// Takes `n` values of `N` bytes each.
    fn values<const N: usize, T>(&mut self, n: usize, from: impl Fn([u8; N]) -> T) -> Result<Vec<T>, String> {
        let bytes = self.take(n.checked_mul(N).ok_or("record claims too many rows")?)?;
        Ok(bytes.chunks_exact(N).map(|c| from(c.try_into().expect("chunks have N bytes"))).collect())
    }
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|e| format!("record holds text that is not UTF-8: {e}"))
}

fn decode_rows(body: &[u8]) -> Result<Rows, String> {
    let mut reader = Reader { bytes: body };
    let table = TableId(reader.u64()?);
    let rows = reader.u32()? as usize;
    let mut new_symbols = Vec::new();
    for _ in 0..reader.u32()? {
        let column = ColumnId(reader.u32()?);
        let first_code = reader.u32()?;
        let count = reader.u32()?;
        let texts = (0..count).map(|_| reader.text()).collect::<Result<_, _>>()?;
        new_symbols.push(NewSymbols { column, first_code, texts });
    }
    let mut columns = Vec::new();
    for _ in 0..reader.u32()? {
        let id = ColumnId(reader.u32()?);
        let tag = reader.take(1)?[0];
        let unknown = || format!("column type {tag} is unknown");
        let parameters = reader.take(ColumnType::parameter_count(tag).ok_or_else(unknown)?)?;
        let column_type = ColumnType::from_tag(tag, parameters).ok_or_else(unknown)?;
        columns.push(ResolvedColumn { id, column_type, data: decode_values(&mut reader, column_type, rows)? });
    }
    if !reader.bytes.is_empty() {
        return Err(format!("{} bytes follow the rows of a record", reader.bytes.len()));
    }
    Ok(Rows { table, new_symbols, batch: ResolvedBatch { rows, columns } })
}

fn decode_values(reader: &mut Reader, column_type: ColumnType, rows: usize) -> Result<ColumnData, String> {
    Ok(match ColumnData::new(column_type) {
        ColumnData::Boolean(_) => ColumnData::Boolean(reader.values(rows, |b: [u8; 1]| b[0] != 0)?),
        ColumnData::I8(_) => ColumnData::I8(reader.values(rows, i8::from_le_bytes)?),
        ColumnData::I16(_) => ColumnData::I16(reader.values(rows, i16::from_le_bytes)?),
        ColumnData::U16(_) => ColumnData::U16(reader.values(rows, u16::from_le_bytes)?),
        ColumnData::U32(_) => ColumnData::U32(reader.values(rows, u32::from_le_bytes)?),
        ColumnData::F32(_) => ColumnData::F32(reader.values(rows, f32::from_le_bytes)?),
        ColumnData::Decimal128(_) => ColumnData::Decimal128(reader.values(rows, i128::from_le_bytes)?),
        ColumnData::Fixed16(_) => ColumnData::Fixed16(reader.values(rows, |bytes| bytes)?),
        ColumnData::Fixed32(_) => ColumnData::Fixed32(reader.values(rows, |bytes| bytes)?),
        ColumnData::Decimal256(_) => ColumnData::Decimal256(reader.values(rows, |bytes| bytes)?),
        ColumnData::I32(_) => ColumnData::I32(reader.values(rows, i32::from_le_bytes)?),
        ColumnData::I64(_) => ColumnData::I64(reader.values(rows, i64::from_le_bytes)?),
        ColumnData::F64(_) => ColumnData::F64(reader.values(rows, f64::from_le_bytes)?),
        ColumnData::Symbol(_) => ColumnData::Symbol(SymbolColumn::of_codes(reader.values(rows, i32::from_le_bytes)?)),
        ColumnData::Str(_) => {
            let lengths = reader.values(rows, u32::from_le_bytes)?;
            let mut column = StrColumn::default();
            for len in lengths {
                match len {
                    u32::MAX => column.push(None),
                    len => column.push(Some(&text(reader.take(len as usize)?)?)),
                }
            }
            ColumnData::Str(column)
        }
        ColumnData::Binary(mut column) => {
            for len in reader.values(rows, u32::from_le_bytes)? {
                column.push(if len == u32::MAX { None } else { Some(reader.take(len as usize)?) });
            }
            ColumnData::Binary(column)
        }
        ColumnData::Array(column) => decode_arrays(reader, column, rows).map(ColumnData::Array)?,
    })
}

fn decode_arrays(reader: &mut Reader, mut column: ArrayColumn, rows: usize) -> Result<ArrayColumn, String> {
    let wrong = || "record holds arrays whose lengths are wrong".to_owned();
    let row_bytes = 1 + column.dims() * 4;
    let mut heads = Reader { bytes: reader.take(rows.checked_mul(row_bytes).ok_or_else(wrong)?)? };
    for _ in 0..rows {
        let is_null = heads.take(1)?[0] != 0;
        let shape = heads.values(column.dims(), u32::from_le_bytes)?;
        if is_null {
            column.push_null();
            continue;
        }
        let count = shape.iter().try_fold(1usize, |n, &len| n.checked_mul(len as usize)).ok_or_else(wrong)?;
        if !column.push(&shape, &reader.values(count, f64::from_le_bytes)?) {
            return Err(wrong());
        }
    }
    Ok(column)
}

#[cfg(test)]
mod tests {
    use types::BinaryColumn;
    use types::row_batch::{NULL_DECIMAL256, NULL_FIXED16, NULL_FIXED32};

    use super::*;

    fn sample() -> Rows {
        let mut text = StrColumn::default();
        for value in [Some("a"), None, Some("")] {
            text.push(value);
        }
        let column = |id, column_type, data| ResolvedColumn { id: ColumnId(id), column_type, data };
        let codes = SymbolColumn::of_codes(vec![0, -1, 5]);
        let mut bytes = BinaryColumn::default();
        [Some(&b"\0\xff"[..]), None, Some(&[][..])].into_iter().for_each(|value| bytes.push(value));
        let mut boxes = ArrayColumn::new(2);
        assert!(boxes.push(&[1, 2], &[0.5, f64::NAN]) && boxes.push(&[0, 0], &[]));
        boxes.push_null();
        let decimal = |precision| ColumnType::Decimal { precision, scale: 2 };
        Rows {
            table: TableId(9),
            new_symbols: vec![NewSymbols { column: ColumnId(6), first_code: 5, texts: vec!["ä".into()] }],
            batch: ResolvedBatch {
                rows: 3,
                columns: vec![
                    column(1, ColumnType::Boolean, ColumnData::Boolean(vec![true, false, true])),
                    column(2, ColumnType::Short, ColumnData::I16(vec![1, -2, 3])),
                    column(3, ColumnType::Int, ColumnData::I32(vec![1, i32::MIN, 3])),
                    column(4, ColumnType::Timestamp, ColumnData::I64(vec![1, 2, i64::MIN])),
                    column(5, ColumnType::Double, ColumnData::F64(vec![0.5, -0.0, 1e300])),
                    column(6, ColumnType::Symbol, ColumnData::Symbol(codes)),
                    column(7, ColumnType::Varchar, ColumnData::Str(text)),
                    column(8, ColumnType::Byte, ColumnData::I8(vec![1, -2, 127])),
                    column(9, ColumnType::Char, ColumnData::U16(vec![65, 0, 0xd800])),
                    column(10, ColumnType::Ipv4, ColumnData::U32(vec![1, 0, u32::MAX])),
                    column(11, ColumnType::Float, ColumnData::F32(vec![0.5, -0.0, 1e30])),
                    column(12, ColumnType::Uuid, ColumnData::Fixed16(vec![[1; 16], NULL_FIXED16, [255; 16]])),
                    column(13, ColumnType::Long256, ColumnData::Fixed32(vec![[1; 32], NULL_FIXED32, [255; 32]])),
                    column(14, decimal(38), ColumnData::Decimal128(vec![-1, i128::MIN, i128::MAX])),
                    column(15, decimal(76), ColumnData::Decimal256(vec![[1; 32], NULL_DECIMAL256, [255; 32]])),
                    column(16, ColumnType::Geohash(23), ColumnData::I64(vec![0, -1, (1 << 23) - 1])),
                    column(17, ColumnType::TimestampNs, ColumnData::I64(vec![1, 2, i64::MIN])),
                    column(18, ColumnType::Binary, ColumnData::Binary(bytes)),
                    column(19, ColumnType::Array(2), ColumnData::Array(boxes)),
                ],
            },
        }
    }

    #[test]
    fn records_round_trip() {
        let drop = CatalogChange::Drop { table: TableId(9) };
        let payload = encode(&[Record::Rows(sample()), Record::Catalog(drop.clone())]);
        let records = decode(&payload).unwrap();
        let [Record::Rows(rows), Record::Catalog(change)] = &records[..] else { panic!("{records:?}") };
        assert_eq!(change, &drop);
        assert_eq!(rows.new_symbols, sample().new_symbols);
        for (read, written) in rows.batch.columns.iter().zip(&sample().batch.columns) {
            assert_eq!((read.id, read.column_type, &read.data), (written.id, written.column_type, &written.data));
        }
    }

    #[test]
    fn damaged_records_are_errors_not_panics() {
        let payload = encode(&[Record::Rows(sample())]);
        for cut in 1..payload.len() {
            assert!(decode(&payload[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..payload.len() {
            let mut damaged = payload.clone();
            damaged[at] ^= 0x81;
            let _ = decode(&damaged);
        }
    }
}
