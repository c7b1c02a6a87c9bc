//! A mapped segment: [`Segment`] hands out columns, or a range of their rows, as Arrow arrays over the mapped bytes.
//!
//! Nothing is decoded before its checksum was found right, and nothing is copied.
//! Next: [`crate::run`], which lets scans read segments and memtable chunks alike.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arrow_array::types::{
    Float64Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray, StringArray};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use types::{ColumnId, ColumnType};

use super::handle::map_or_read;
use super::meta::{SEGMENT_VERSION, SEGMENT_VERSION_KEY, SegmentMeta};
use crate::env::Env;
use crate::ipc::{IpcColumn, IpcFile, check_offsets, checksum_file};
use crate::window::{mapped_buffer, part, window};
use crate::{Error, Result};

const REMEDY: &str = "restore from a snapshot; other tables are unaffected";

/// A segment file, mapped. The map lives as long as the segment or any array made from it.
pub struct Segment {
    path: PathBuf,
    meta: Arc<SegmentMeta>,
    map: Buffer,
    verified: Arc<Verified>,
    columns: Vec<SegmentColumn>,
}

/// Which columns' checksums were found right in this process.
pub(super) struct Verified(Vec<(ColumnId, AtomicBool)>);

impl Verified {
    pub fn new(meta: &SegmentMeta, all: bool) -> Verified {
        Verified(meta.columns.iter().map(|c| (c.id, AtomicBool::new(all))).collect())
    }

    pub fn contains(&self, id: ColumnId) -> bool {
        self.flag(id).is_some_and(|flag| flag.load(Ordering::Acquire))
    }

    fn add(&self, id: ColumnId) {
        if let Some(flag) = self.flag(id) {
            flag.store(true, Ordering::Release);
        }
    }

    fn flag(&self, id: ColumnId) -> Option<&AtomicBool> {
        self.0.binary_search_by_key(&id, |(column, _)| *column).ok().map(|at| &self.0[at].1)
    }
}

struct SegmentColumn {
    place: IpcColumn,
    /// The whole column once its checksum and text were found right, or what is wrong.
    checked: OnceLock<Result<ArrayRef, String>>,
}

impl Segment {
    /// Maps a segment and checks its length and envelope. With `verify` each column's checksum is compared at its first touch;
    /// without (for a file that this process just wrote) only text and offsets are looked through.
    ///
    /// # Errors
    /// `Io` when the file cannot be mapped, `Corrupt` when it is not what `meta` says.
    pub fn open(env: &Env, path: &Path, meta: Arc<SegmentMeta>, verify: bool) -> Result<Arc<Segment>> {
        let verified = Arc::new(Verified::new(&meta, !verify));
        Segment::map(env, path, meta, verified)
    }

    /// As [`Segment::open`], with what is already known of the columns.
    pub(super) fn map(env: &Env, path: &Path, meta: Arc<SegmentMeta>, verified: Arc<Verified>) -> Result<Arc<Segment>> {
        let corrupt = |detail: String| Error::corrupt(path, format!("{detail}; {REMEDY}"));
        if meta.format != SegmentMeta::ARROW {
            return Err(corrupt(format!("format {} is not known to this version", meta.format)));
        }
        let map = map_or_read(&*env.fs, path).map_err(Error::io(path))?;
        if map.len() as u64 != meta.len_bytes {
            return Err(corrupt(format!("{} bytes long, {} were written", map.len(), meta.len_bytes)));
        }
        check_envelope(&map, &meta).map_err(corrupt)?;
        let file = IpcFile::parse(&map).map_err(corrupt)?;
        check_layout(&file, &meta).map_err(corrupt)?;
        let columns = file.columns.into_iter().map(|place| SegmentColumn { place, checked: OnceLock::new() }).collect();
        Ok(Arc::new(Segment { path: path.to_owned(), meta, map: mapped_buffer(map), verified, columns }))
    }

    /// Returns what edits say about the segment.
    pub fn meta(&self) -> &Arc<SegmentMeta> {
        &self.meta
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.meta.rows as usize
    }

    /// Returns a whole column, or None when the segment lacks it. The first touch checks its bytes, later ones take no lock.
    ///
    /// # Errors
    /// `Corrupt` when the column's bytes are not what was written.
    pub fn column(&self, id: ColumnId) -> Result<Option<ArrayRef>> {
        let Ok(at) = self.columns.binary_search_by_key(&id, |c| c.place.id) else { return Ok(None) };
        let column = &self.columns[at];
        match column.checked.get_or_init(|| self.check(&column.place)) {
            Ok(array) => Ok(Some(array.clone())),
            Err(detail) => {
                let place = &column.place;
                Err(Error::corrupt(&self.path, format!("column {} ({id}): {detail}; {REMEDY}", place.name)))
            }
        }
    }

    /// Returns some rows of a column as an array that is charged with these rows only: its buffers are allocations of their own
    /// over the map, where slices of the whole column would each count as the whole column.
    ///
    /// # Errors
    /// As [`Segment::column`].
    ///
    /// # Panics
    /// When `offset + len` is beyond the rows.
    pub fn chunked(&self, id: ColumnId, offset: usize, len: usize) -> Result<Option<ArrayRef>> {
        assert!(
            offset.checked_add(len).is_some_and(|end| end <= self.rows()),
            "rows {offset}+{len} of {}",
            self.rows()
        );
        let Some(whole) = self.column(id)? else { return Ok(None) };
        Ok(Some(window(&whole, offset, len)))
    }

    /// Checks a column for its first touch and returns it whole.
    fn check(&self, place: &IpcColumn) -> Result<ArrayRef, String> {
        let meta = self.meta.column(place.id).ok_or("not in the edit")?;
        if !self.verified.contains(place.id) {
            if crc32c::crc32c(&self.map[place.bytes.clone()]) != meta.crc32c {
                return Err("checksum differs".to_owned());
            }
            self.verified.add(place.id);
        }
        check_sizes(place, self.rows())?;
        if self.map.as_ptr().align_offset(size_of::<i64>()) != 0 {
            return Err("not aligned in memory".to_owned());
        }
        let array = self.array(place, self.rows())?;
        if array.null_count() != place.null_count {
            return Err(format!("{} values are NULL, {} were written", array.null_count(), place.null_count));
        }
        Ok(array)
    }

    fn scalars<T: ArrowNativeType>(&self, values: &Range<usize>, len: usize) -> ScalarBuffer<T> {
        ScalarBuffer::new(part(&self.map, values.start..values.start + len * size_of::<T>()), 0, len)
    }

    fn bits(&self, values: &Range<usize>, len: usize) -> BooleanBuffer {
        BooleanBuffer::new(part(&self.map, values.start..values.start + len.div_ceil(8)), 0, len)
    }

    /// Returns a whole column over the map.
    fn array(&self, place: &IpcColumn, rows: usize) -> Result<ArrayRef, String> {
        let nulls = (place.null_count > 0).then(|| NullBuffer::new(self.bits(&place.buffers[0], rows)));
        let values = &place.buffers[1];
        Ok(match place.column_type {
            ColumnType::Boolean => Arc::new(BooleanArray::new(self.bits(values, rows), nulls)),
            ColumnType::Short => self.primitive::<Int16Type>(values, rows, nulls),
            ColumnType::Int | ColumnType::Symbol => self.primitive::<Int32Type>(values, rows, nulls),
            ColumnType::Long => self.primitive::<Int64Type>(values, rows, nulls),
            ColumnType::Double => self.primitive::<Float64Type>(values, rows, nulls),
            ColumnType::Date => self.primitive::<TimestampMillisecondType>(values, rows, nulls),
            ColumnType::Timestamp => self.primitive::<TimestampMicrosecondType>(values, rows, nulls),
            ColumnType::String | ColumnType::Varchar => {
                let offsets: ScalarBuffer<i32> = self.scalars(values, rows + 1);
                check_offsets(&offsets, place.buffers[2].len())?;
                let text = part(&self.map, place.buffers[2].clone());
                let array = StringArray::try_new(OffsetBuffer::new(offsets), text, nulls);
                Arc::new(array.map_err(|e| format!("text is damaged: {e}"))?)
            }
        })
    }

    fn primitive<T: ArrowPrimitiveType>(
        &self,
        values: &Range<usize>,
        rows: usize,
        nulls: Option<NullBuffer>,
    ) -> ArrayRef {
        Arc::new(PrimitiveArray::<T>::new(self.scalars(values, rows), nulls))
    }
}

/// Compares a whole file with its length and checksum, reading it in pieces of 1 MiB.
///
/// # Errors
/// `Io` when it cannot be read, `Corrupt` when it differs.
pub fn verify_whole(env: &Env, path: &Path, meta: &SegmentMeta) -> Result<()> {
    let (len, crc) = checksum_file(env, path)?;
    if len != meta.len_bytes {
        return Err(Error::corrupt(path, format!("{len} bytes long, {} were written", meta.len_bytes)));
    }
    if crc != meta.crc32c {
        return Err(Error::corrupt(path, "checksum of the file differs"));
    }
    Ok(())
}

/// Compares the bytes outside of the columns with their checksum.
fn check_envelope(bytes: &[u8], meta: &SegmentMeta) -> Result<(), String> {
    let start = meta.columns.first().map_or(0, |c| c.start) as usize;
    let end = meta.columns.last().map_or(0, |c| c.end) as usize;
    let (Some(head), Some(tail)) = (bytes.get(..start), bytes.get(end..)) else {
        return Err("columns lie outside the file".to_owned());
    };
    if start > end || crc32c::crc32c_append(crc32c::crc32c(head), tail) != meta.envelope_crc32c {
        return Err("checksum of the file's head and footer differs".to_owned());
    }
    Ok(())
}

/// Compares what the file says about its columns with what the edit says.
fn check_layout(file: &IpcFile, meta: &SegmentMeta) -> Result<(), String> {
    let version = file.metadata.get(SEGMENT_VERSION_KEY).map_or("none", String::as_str);
    if version != SEGMENT_VERSION {
        return Err(format!("segment format is version {version}, this server reads {SEGMENT_VERSION}"));
    }
    let same = file.rows as u64 == meta.rows
        && file.columns.len() == meta.columns.len()
        && file.columns.iter().zip(&meta.columns).all(|(f, m)| {
            (f.id, f.column_type, f.null_count as u64) == (m.id, m.column_type, m.null_count)
                && (f.bytes.start as u64, f.bytes.end as u64) == (m.start, m.end)
        });
    if !same {
        return Err("its columns are not those that the edit names".to_owned());
    }
    // They are looked up by halving.
    if !meta.columns.is_sorted_by_key(|c| c.id) {
        return Err("its columns are not in the order of their ids".to_owned());
    }
    Ok(())
}

/// Checks that each buffer is long enough for the rows.
fn check_sizes(place: &IpcColumn, rows: usize) -> Result<(), String> {
    let bits = rows.div_ceil(8);
    let of = |bytes: usize| rows.saturating_mul(bytes);
    let validity = if place.null_count > 0 { bits } else { 0 };
    let values = match place.column_type {
        ColumnType::Boolean => bits,
        ColumnType::Short => of(2),
        ColumnType::Int | ColumnType::Symbol => of(4),
        ColumnType::String | ColumnType::Varchar => of(4).saturating_add(4),
        ColumnType::Long | ColumnType::Date | ColumnType::Timestamp | ColumnType::Double => of(8),
    };
    let enough = place.buffers[0].len() >= validity && place.buffers[1].len() >= values;
    if enough { Ok(()) } else { Err("values are shorter than the rows".to_owned()) }
}

#[cfg(test)]
pub(super) mod tests;
