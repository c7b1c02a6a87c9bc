//! A mapped segment: [`Segment`] hands out columns, or a range of their rows, as Arrow arrays over the mapped bytes.
//!
//! Nothing is decoded before its checksum was found right, and nothing is copied.
//! Next: [`crate::run`], which lets scans read segments and memtable chunks alike.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, FixedSizeBinaryArray, ListArray};
use arrow_array::{PrimitiveArray, StringArray, cast::AsArray};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType};
use types::{ColumnId, ColumnType};

use super::handle::map_or_read;
use super::last_rows::LastRows;
use super::meta::{SEGMENT_VERSION, SEGMENT_VERSION_KEY, SegmentMeta};
use super::parquet::ParquetFile;
use super::zones::Zones;
use super::zones::stored::{self, STORED_ROWS};
use crate::arrow_type::{arrow_type, by_primitive};
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
    /// The file's zones; empty when it has none.
    zones: Range<usize>,
    /// How columns are decoded, where they are not read as they lie.
    parquet: Option<ParquetFile>,
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
    /// Made when they are first asked for.
    zones: OnceLock<Option<Arc<Zones>>>,
    last_rows: OnceLock<Option<Arc<LastRows>>>,
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
        if meta.format != SegmentMeta::ARROW && !meta.is_parquet() {
            return Err(corrupt(format!("format {} is not known to this version", meta.format)));
        }
        let map = map_or_read(&*env.fs, path).map_err(Error::io(path))?;
        if map.len() as u64 != meta.len_bytes {
            return Err(corrupt(format!("{} bytes long, {} were written", map.len(), meta.len_bytes)));
        }
        check_envelope(&map, &meta).map_err(corrupt)?;
        let (parquet, places, zones) = if meta.is_parquet() {
            let (file, places) = ParquetFile::parse(map.clone()).map_err(corrupt)?;
            check_places(file.rows(), &places, &meta).map_err(corrupt)?;
            (Some(file), places, 0..0)
        } else {
            let file = IpcFile::parse(&map).map_err(corrupt)?;
            check_layout(&file, &meta).map_err(corrupt)?;
            (None, file.columns, file.beside)
        };
        let column = |place| SegmentColumn {
            place,
            checked: OnceLock::new(),
            zones: OnceLock::new(),
            last_rows: OnceLock::new(),
        };
        let columns = places.into_iter().map(column).collect();
        let map = mapped_buffer(map);
        Ok(Arc::new(Segment { path: path.to_owned(), meta, map, verified, columns, zones, parquet }))
    }

    /// Returns what edits say about the segment.
    pub fn meta(&self) -> &Arc<SegmentMeta> {
        &self.meta
    }

    /// Returns about what the columns take in memory once they are decoded; 0 when they are read as they lie.
    pub(super) fn decoded_bytes(&self) -> u64 {
        self.parquet.as_ref().map_or(0, |file| file.decoded_bytes)
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
        match column.checked.get_or_init(|| self.check(at, &column.place)) {
            Ok(array) => Ok(Some(array.clone())),
            Err(detail) => {
                let place = &column.place;
                Err(Error::corrupt(&self.path, format!("column {} ({id}): {detail}; {REMEDY}", place.name)))
            }
        }
    }

    /// Returns whether nothing of a column is left to be checked; the segment may lack it.
    pub fn is_checked(&self, id: ColumnId) -> bool {
        let at = self.columns.binary_search_by_key(&id, |c| c.place.id);
        at.is_err() || at.is_ok_and(|at| self.columns[at].checked.get().is_some())
    }

    /// Returns the zones of a column, of so many rows each if none were asked for before; None when the segment lacks the column
    /// or its type has none. Where they are stored the column is not touched.
    ///
    /// # Errors
    /// As [`Segment::column`], `Corrupt` when what is stored is damaged.
    pub fn zones(&self, id: ColumnId, zone_rows: usize) -> Result<Option<Arc<Zones>>> {
        let Ok(at) = self.columns.binary_search_by_key(&id, |c| c.place.id) else { return Ok(None) };
        if let Some(known) = self.known_zones(at, zone_rows)? {
            return Ok(Some(known));
        }
        let zones = self.column(id)?.and_then(|array| Zones::of(&array, zone_rows));
        Ok(self.columns[at].zones.get_or_init(|| zones.map(Arc::new)).clone())
    }

    /// Returns the zones of the column at a place if they are known without touching it: they were asked for before, or are stored.
    fn known_zones(&self, at: usize, zone_rows: usize) -> Result<Option<Arc<Zones>>> {
        let column = &self.columns[at];
        if let Some(zones) = column.zones.get() {
            return Ok(zones.clone());
        }
        if self.zones.is_empty() || zone_rows != STORED_ROWS {
            return Ok(None);
        }
        let stored = stored::of_column(&self.map[self.zones.clone()], self.rows(), column.place.id);
        let stored = stored.map_err(|detail| Error::corrupt(&self.path, format!("{detail}; {REMEDY}")))?;
        Ok(stored.and_then(|zones| column.zones.get_or_init(|| Some(Arc::new(zones))).clone()))
    }

    /// Returns whether zones of so many rows are known of a column without touching it.
    pub fn has_zones(&self, id: ColumnId, zone_rows: usize) -> bool {
        let at = self.columns.binary_search_by_key(&id, |c| c.place.id);
        at.is_ok_and(|at| matches!(self.known_zones(at, zone_rows), Ok(Some(_))))
    }

    /// Returns the last row of each code of a SYMBOL column, dead rows among them; None when the segment lacks the column, or has too
    /// many codes for its rows.
    ///
    /// # Errors
    /// As [`Segment::column`].
    pub fn last_rows(&self, id: ColumnId) -> Result<Option<Arc<LastRows>>> {
        let Some(array) = self.column(id)? else { return Ok(None) };
        let Ok(at) = self.columns.binary_search_by_key(&id, |c| c.place.id) else { return Ok(None) };
        let found = || {
            let meta = self.meta.column(id).filter(|meta| meta.column_type == ColumnType::Symbol)?;
            let codes = meta.max.map_or(Some(0), |max| usize::try_from(max).ok()?.checked_add(1))?;
            let column = array.as_primitive_opt::<Int32Type>()?;
            let found = LastRows::are_worth(self.rows(), codes).then(|| LastRows::of(column, codes));
            found.flatten().map(Arc::new)
        };
        Ok(self.columns[at].last_rows.get_or_init(found).clone())
    }

    /// Returns the last row of each code of a SYMBOL column if somebody has asked for them before.
    pub fn known_last_rows(&self, id: ColumnId) -> Option<Arc<LastRows>> {
        let at = self.columns.binary_search_by_key(&id, |c| c.place.id).ok()?;
        self.columns[at].last_rows.get()?.clone()
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
    fn check(&self, at: usize, place: &IpcColumn) -> Result<ArrayRef, String> {
        let meta = self.meta.column(place.id).ok_or("not in the edit")?;
        if !self.verified.contains(place.id) {
            if crc32c::crc32c(&self.map[place.bytes.clone()]) != meta.crc32c {
                return Err("checksum differs".to_owned());
            }
            self.verified.add(place.id);
        }
        let array = match &self.parquet {
            Some(file) => file.decode(at, place.column_type)?,
            None => self.mapped(place)?,
        };
        if array.null_count() as u64 != meta.null_count {
            return Err(format!("{} values are NULL, {} were written", array.null_count(), meta.null_count));
        }
        Ok(array)
    }

    /// Returns a whole column of an Arrow file over the map.
    fn mapped(&self, place: &IpcColumn) -> Result<ArrayRef, String> {
        if self.map.as_ptr().align_offset(align_of::<i128>()) != 0 {
            return Err("not aligned in memory".to_owned());
        }
        let levels = std::iter::once((self.rows(), place.null_count)).chain(place.inner.iter().copied());
        let levels: Vec<(usize, usize)> = levels.collect();
        self.array(&arrow_type(place.column_type), &place.buffers, &levels)
    }

    /// Returns values of a buffer, which is as long as they ask for.
    fn scalars<T: ArrowNativeType>(&self, values: &Range<usize>, len: usize) -> Result<ScalarBuffer<T>, String> {
        let bytes = len.checked_mul(size_of::<T>()).filter(|bytes| *bytes <= values.len()).ok_or_else(too_short)?;
        Ok(ScalarBuffer::new(part(&self.map, values.start..values.start + bytes), 0, len))
    }

    fn bits(&self, values: &Range<usize>, len: usize) -> Result<BooleanBuffer, String> {
        let bytes = len.div_ceil(8);
        if values.len() < bytes {
            return Err(too_short());
        }
        Ok(BooleanBuffer::new(part(&self.map, values.start..values.start + bytes), 0, len))
    }

    /// Returns the offsets of `len` values that lie within `inside`.
    fn offsets(&self, buffer: &Range<usize>, len: usize, inside: usize) -> Result<OffsetBuffer<i32>, String> {
        if len == 0 && buffer.is_empty() {
            return Ok(OffsetBuffer::new_empty());
        }
        let offsets: ScalarBuffer<i32> = self.scalars(buffer, len.saturating_add(1))?;
        check_offsets(&offsets, inside)?;
        Ok(OffsetBuffer::new(offsets))
    }

    /// Returns values over the map: `levels` has their number and that of NULLs, then those of the lists' values below.
    fn array(
        &self,
        data_type: &DataType,
        buffers: &[Range<usize>],
        levels: &[(usize, usize)],
    ) -> Result<ArrayRef, String> {
        let ([validity, values, ..], [(len, null_count), below @ ..]) = (buffers, levels) else {
            return Err("has too few buffers".to_owned());
        };
        let len = *len;
        let nulls = if *null_count > 0 { Some(NullBuffer::new(self.bits(validity, len)?)) } else { None };
        let damaged = |e: ArrowError| format!("values are damaged: {e}");
        Ok(match data_type {
            DataType::Boolean => Arc::new(BooleanArray::new(self.bits(values, len)?, nulls)),
            DataType::Utf8 => {
                let offsets = self.offsets(values, len, buffers[2].len())?;
                let text = StringArray::try_new(offsets, part(&self.map, buffers[2].clone()), nulls);
                Arc::new(text.map_err(|e| format!("text is damaged: {e}"))?)
            }
            DataType::Binary => {
                let offsets = self.offsets(values, len, buffers[2].len())?;
                Arc::new(BinaryArray::try_new(offsets, part(&self.map, buffers[2].clone()), nulls).map_err(damaged)?)
            }
            DataType::FixedSizeBinary(width) => {
                let bytes = len.checked_mul(*width as usize).filter(|b| *b <= values.len()).ok_or_else(too_short)?;
                let bytes = part(&self.map, values.start..values.start + bytes);
                Arc::new(FixedSizeBinaryArray::try_new(*width, bytes, nulls).map_err(damaged)?)
            }
            DataType::List(item) => {
                let inside = below.first().ok_or("has too few levels of lists")?.0;
                let offsets = self.offsets(values, len, inside)?;
                let inner = self.array(item.data_type(), &buffers[2..], below)?;
                Arc::new(ListArray::try_new(item.clone(), offsets, inner, nulls).map_err(damaged)?)
            }
            numbers => by_primitive!(
                numbers,
                P => self.primitive::<P>(numbers, values, len, nulls)?,
                return Err(format!("type {numbers} is not stored"))
            ),
        })
    }

    fn primitive<T: ArrowPrimitiveType>(
        &self,
        data_type: &DataType,
        values: &Range<usize>,
        len: usize,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef, String> {
        let values = PrimitiveArray::<T>::new(self.scalars(values, len)?, nulls);
        Ok(Arc::new(values.with_data_type(data_type.clone())))
    }
}

fn too_short() -> String {
    "values are shorter than the rows".to_owned()
}

/// Compares a whole file with its length and checksum, reading it in pieces.
///
/// # Errors
/// `Io` when it cannot be read, `Corrupt` when it differs.
pub fn verify_whole(env: &Env, path: &Path, meta: &SegmentMeta) -> Result<()> {
    // A file that is far too long is not read to its end.
    let found = env.fs.metadata(path).map_err(Error::io(path))?.len_bytes;
    if found != meta.len_bytes {
        return Err(Error::corrupt(path, format!("{found} bytes long, {} were written", meta.len_bytes)));
    }
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
    if file.columns.iter().zip(&meta.columns).any(|(f, m)| f.null_count as u64 != m.null_count) {
        return Err("its columns are not those that the edit names".to_owned());
    }
    check_places(file.rows, &file.columns, meta)
}

/// Compares where the columns of a file lie with what the edit says.
fn check_places(rows: usize, places: &[IpcColumn], meta: &SegmentMeta) -> Result<(), String> {
    let same = rows as u64 == meta.rows
        && places.len() == meta.columns.len()
        && places.iter().zip(&meta.columns).all(|(f, m)| {
            (f.id, f.column_type) == (m.id, m.column_type)
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

#[cfg(test)]
pub(crate) mod tests;
