//! Rows in a record: binary, columnar, little-endian.

use arrow_buffer::{ArrowNativeType, ToByteSlice};
use types::{ArrayColumn, ColumnData, ColumnId, ColumnType, StrColumn, SymbolColumn, TableId};

use super::{NewSymbols, Rows};
use crate::chunk::{ResolvedBatch, ResolvedColumn};

fn put_u32(out: &mut Vec<u8>, n: usize) {
    out.extend_from_slice(&u32::try_from(n).expect("counts of a frame fit 32 bits").to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_u32(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Appends the body of a record of rows.
pub(super) fn encode_rows(rows: &Rows, out: &mut Vec<u8>) {
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

/// What is left of a record's bytes.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
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
        utf8(self.take(len)?).map(str::to_owned)
    }

    /// Takes `n` values of `N` bytes each.
    fn values<const N: usize, T>(&mut self, n: usize, from: impl Fn([u8; N]) -> T) -> Result<Vec<T>, String> {
        let bytes = self.take(n.checked_mul(N).ok_or("record claims too many rows")?)?;
        Ok(bytes.chunks_exact(N).map(|c| from(c.try_into().expect("chunks have N bytes"))).collect())
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|e| format!("record holds text that is not UTF-8: {e}"))
}

/// Returns the rows of a record's body.
pub(super) fn decode_rows(body: &[u8]) -> Result<Rows, String> {
    let mut columns = Vec::new();
    let (table, rows, new_symbols) = walk(body, |reader, id, column_type, rows| {
        columns.push(ResolvedColumn { id, column_type, data: decode_values(reader, column_type, rows)? });
        Ok(())
    })?;
    Ok(Rows { table, new_symbols, batch: ResolvedBatch { rows, columns } })
}

/// Returns the rows of a record's body without columns and symbols, and refuses what [`decode_rows`] refuses. Values that all
/// have one length are not looked at.
pub(super) fn count_rows(body: &[u8]) -> Result<Rows, String> {
    let (table, rows, _) = walk(body, |reader, _, column_type, rows| pass_over_values(reader, column_type, rows))?;
    Ok(Rows { table, new_symbols: Vec::new(), batch: ResolvedBatch { rows, columns: Vec::new() } })
}

/// Reads a body's head, calls `take_values` at the values of each column, and sees that nothing follows.
fn walk(
    body: &[u8],
    mut take_values: impl FnMut(&mut Reader, ColumnId, ColumnType, usize) -> Result<(), String>,
) -> Result<(TableId, usize, Vec<NewSymbols>), String> {
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
    for _ in 0..reader.u32()? {
        let id = ColumnId(reader.u32()?);
        let tag = reader.take(1)?[0];
        let unknown = || format!("column type {tag} is unknown");
        let parameters = reader.take(ColumnType::parameter_count(tag).ok_or_else(unknown)?)?;
        let column_type = ColumnType::from_tag(tag, parameters).ok_or_else(unknown)?;
        take_values(&mut reader, id, column_type, rows)?;
    }
    if !reader.bytes.is_empty() {
        return Err(format!("{} bytes follow the rows of a record", reader.bytes.len()));
    }
    Ok((table, rows, new_symbols))
}

fn pass_over_values(reader: &mut Reader, column_type: ColumnType, rows: usize) -> Result<(), String> {
    let each = match ColumnData::new(column_type) {
        ColumnData::Boolean(_) | ColumnData::I8(_) => 1,
        ColumnData::I16(_) | ColumnData::U16(_) => 2,
        ColumnData::U32(_) | ColumnData::F32(_) | ColumnData::I32(_) | ColumnData::Symbol(_) => 4,
        ColumnData::I64(_) | ColumnData::F64(_) => 8,
        ColumnData::Decimal128(_) | ColumnData::Fixed16(_) => 16,
        ColumnData::Decimal256(_) | ColumnData::Fixed32(_) => 32,
        ColumnData::Str(_) => return pass_over_variable(reader, rows, |value| utf8(value).map(drop)),
        ColumnData::Binary(_) => return pass_over_variable(reader, rows, |_| Ok(())),
        ColumnData::Array(_) => return decode_values(reader, column_type, rows).map(drop),
    };
    reader.take(rows.checked_mul(each).ok_or("record claims too many rows")?).map(drop)
}

fn pass_over_variable(
    reader: &mut Reader,
    rows: usize,
    check: impl Fn(&[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let mut lengths = Reader { bytes: reader.take(rows.checked_mul(4).ok_or("record claims too many rows")?)? };
    for _ in 0..rows {
        match lengths.u32()? {
            u32::MAX => {}
            len => check(reader.take(len as usize)?)?,
        }
    }
    Ok(())
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
                    len => column.push(Some(utf8(reader.take(len as usize)?)?)),
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
