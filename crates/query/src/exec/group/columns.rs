//! The keys and arguments of a block's rows, computed once for each text of a dictionary where that is enough:
//! [`Reader`].

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, new_null_array};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::{SortOptions, concat, sort_to_indices, take};
use arrow::datatypes::{DataType, Int32Type, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;

use super::numbering::{Keys, Numbering};
use super::shape::{Argument, Key, Shape};
use super::stretches::Cut;
use super::whole::{self, Wholes, bits_of, wholes};
use crate::exec::direct::block::BlockZones;
use crate::exec::direct::{Block, Selection, Source};

/// Most slots that are numbered by an array.
pub const MOST_SLOTS: usize = 1 << 22;

/// How blocks are read, for all workers of one aggregation.
pub struct Reader {
    /// The place of the designated timestamp and what parts it; None without buckets.
    pub bucket: Option<(usize, Cut)>,
    keys: Vec<Part>,
    layout: Layout,
    arguments: Vec<Compiled>,
    /// Where an order is asked for within buckets: places among the keys, and the rank of each number of that key.
    ranks: Option<Vec<(usize, Vec<u32>)>>,
}

/// One part of a key, and how it looks in the output.
enum Part {
    Bucket(DataType),
    Symbol(Codes),
    Whole { computed: Compiled, data_type: DataType },
}

/// Values by code.
struct Codes {
    place: usize,
    /// Different values by their number; the number after them is NULL's where it is not among them.
    values: ArrayRef,
    /// How many numbers there are.
    size: usize,
    /// The number of a code's value; None: a code is its number.
    numbers: Option<Vec<u32>>,
    null_number: u32,
}

/// How the parts of a key make one.
enum Layout {
    None,
    /// Sizes of the parts.
    Slots(usize),
    Whole,
    /// Bits of the parts.
    Packed(Vec<u32>),
}

/// An expression over a block's rows that count.
enum Compiled {
    Stored(usize),
    Shown(usize),
    /// By code; the NULL's value is the last.
    ByCode {
        place: usize,
        values: ArrayRef,
    },
    Computed {
        expr: Arc<dyn PhysicalExpr>,
        places: Vec<usize>,
        schema: SchemaRef,
    },
}

impl Reader {
    /// Compiles a shape.
    ///
    /// # Errors
    /// What an expression says of a text of a dictionary, though perhaps no row has it, and keys too wide to be packed.
    pub fn new(shape: &Shape) -> Result<Reader> {
        let source = &shape.source;
        let mut keys = Vec::new();
        let mut bucket = None;
        for key in &shape.keys {
            keys.push(match key {
                Key::Bucket { place, cut, data_type } => {
                    bucket = Some((*place, *cut));
                    Part::Bucket(data_type.clone())
                }
                Key::Symbol { place, expr } => Part::Symbol(Codes::new(source, *place, expr.as_ref())?),
                Key::Whole { expr, data_type } => {
                    Part::Whole { computed: Compiled::new(source, expr)?, data_type: data_type.clone() }
                }
            });
        }
        let arguments = shape.arguments.iter().map(|argument| match argument {
            Argument::Stored(place) => Ok(Compiled::Stored(*place)),
            Argument::Expr(expr) => Compiled::new(source, expr),
        });
        let arguments = arguments.collect::<Result<Vec<_>>>()?;
        let layout = layout(&keys)?;
        if shape.sorted.is_some() && !matches!(layout, Layout::Slots(_)) {
            return datafusion::common::not_impl_err!("an order of keys that no array numbers");
        }
        let ranks = shape.sorted.as_ref().map(|sorted| {
            let ranks = sorted.by.iter().map(|(place, options)| match &keys[*place] {
                Part::Symbol(codes) => Ok((*place, codes.ranks(*options)?)),
                _ => datafusion::common::internal_err!("groups are sorted by a key that is no symbol"),
            });
            ranks.collect::<Result<Vec<_>>>()
        });
        Ok(Reader { bucket, keys, layout, arguments, ranks: ranks.transpose()? })
    }

    /// Returns whether the groups of a bucket are in the order of their keys.
    pub fn is_sorted(&self) -> bool {
        self.ranks.is_some()
    }

    /// Returns numbers below 2^32 that rise in the order asked for; None when there is no order, or keys have no such numbers.
    pub fn ranks(&self, keys: &Keys) -> Option<Vec<u64>> {
        let (Some(ranks), Keys::Slots(slots), Layout::Slots(all)) = (&self.ranks, keys, &self.layout) else {
            return None;
        };
        let mut ranked = vec![0; slots.len()];
        for (place, ranks) in ranks {
            // of slots the last part is the lowest
            let mut above = *all as u32;
            for part in &self.keys[..=*place] {
                if let Part::Symbol(codes) = part {
                    above /= codes.size as u32;
                }
            }
            let size = ranks.len();
            for (ranked, slot) in ranked.iter_mut().zip(slots.iter()) {
                *ranked = *ranked * size as u64 + u64::from(ranks[(slot / above) as usize % size]);
            }
        }
        Some(ranked)
    }

    /// Returns a numbering of keys of this layout.
    pub fn numbering(&self, expected_rows: usize) -> Numbering {
        match &self.layout {
            Layout::None => Numbering::none(),
            Layout::Slots(size) => Numbering::slots(*size),
            Layout::Whole => Numbering::whole(expected_rows),
            Layout::Packed(_) => Numbering::packed(),
        }
    }

    /// Returns whether a bucket (without buckets: everything) is one group.
    pub fn is_one_group(&self) -> bool {
        matches!(self.layout, Layout::None)
    }

    /// Returns the arguments of the rows that count.
    pub fn arguments(&self, block: &Block) -> Result<Vec<ArrayRef>> {
        self.arguments.iter().map(|argument| argument.of(block)).collect()
    }

    /// Returns what is known of zones of an argument, where that speaks of the rows that count.
    pub fn zones(&self, block: &Block, argument: usize) -> Result<Option<BlockZones>> {
        match (&self.arguments[argument], block.selection()) {
            (Compiled::Shown(place), Selection::All) => block.zones(*place),
            _ => Ok(None),
        }
    }

    /// Returns the column that an argument is as it stands.
    pub fn column_of(&self, argument: usize) -> Option<usize> {
        match self.arguments[argument] {
            Compiled::Shown(place) => Some(place),
            _ => None,
        }
    }

    /// Returns the keys of the rows that count, buckets apart.
    pub fn keys(&self, block: &Block) -> Result<Keys> {
        let inner = || self.keys.iter().filter(|part| !matches!(part, Part::Bucket(_)));
        match &self.layout {
            Layout::None => Ok(Keys::None),
            Layout::Slots(_) => {
                let mut symbols =
                    inner().filter_map(|part| if let Part::Symbol(codes) = part { Some(codes) } else { None });
                let Some(first) = symbols.next() else { return Ok(Keys::None) };
                let mut slots = first.numbers(block)?;
                for codes in symbols {
                    let (numbers, size) = (codes.numbers(block)?, codes.size as u32);
                    slots = slots.iter().zip(&numbers[..]).map(|(slot, number)| slot * size + number).collect();
                }
                Ok(Keys::Slots(slots))
            }
            Layout::Whole => {
                let Some(Part::Whole { computed, .. }) = inner().next() else { return Ok(Keys::None) };
                let array = computed.of(block)?;
                let Wholes { values, nulls } = wholes(&array)?;
                Ok(Keys::Whole(values, nulls))
            }
            Layout::Packed(bits) => self.packed(block, bits),
        }
    }

    fn packed(&self, block: &Block, bits: &[u32]) -> Result<Keys> {
        let mut packed = vec![0u128; block.selected_rows()];
        let mut shift = 0;
        for (part, bits) in self.keys.iter().zip(bits) {
            match part {
                Part::Bucket(_) => {}
                Part::Symbol(codes) => {
                    let numbers = codes.numbers(block)?;
                    packed.iter_mut().zip(&numbers[..]).for_each(|(key, number)| *key |= u128::from(*number) << shift);
                }
                Part::Whole { computed, .. } => {
                    let array = computed.of(block)?;
                    let Wholes { values, nulls } = wholes(&array)?;
                    // the lowest bit is for NULL
                    let mask = (1u128 << (bits - 1)) - 1;
                    for (row, (key, value)) in packed.iter_mut().zip(values.iter()).enumerate() {
                        *key |= match nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                            true => 1 << shift,
                            false => (u128::from(*value as u64) & mask) << (shift + 1),
                        };
                    }
                }
            }
            shift += bits;
        }
        Ok(Keys::Packed(packed))
    }

    /// Returns the columns of keys: of groups with these keys and, where there are any, in these buckets.
    pub fn key_columns(&self, keys: &Keys, buckets: &[i64]) -> Result<Vec<ArrayRef>> {
        let mut columns = Vec::with_capacity(self.keys.len());
        // of slots the last part is the lowest
        let mut above = match &self.layout {
            Layout::Slots(size) => *size as u32,
            _ => 1,
        };
        let mut shift = 0;
        for (place, part) in self.keys.iter().enumerate() {
            columns.push(match (part, keys) {
                (Part::Bucket(data_type), _) => whole::column(buckets.to_vec().into(), None, data_type)?,
                (Part::Symbol(codes), Keys::Slots(slots)) => {
                    let size = codes.size as u32;
                    above /= size;
                    codes.texts(slots.iter().map(|slot| slot / above % size))?
                }
                (Part::Symbol(codes), Keys::Packed(packed)) => {
                    let mask = (1u128 << self.bits(place)) - 1;
                    codes.texts(packed.iter().map(|key| (key >> shift & mask) as u32))?
                }
                (Part::Whole { data_type, .. }, Keys::Whole(values, nulls)) => {
                    whole::column(values.clone(), nulls.clone(), data_type)?
                }
                (Part::Whole { data_type, .. }, Keys::Packed(packed)) => {
                    unpacked(packed, shift, self.bits(place), data_type)?
                }
                _ => return datafusion::common::internal_err!("keys of another layout"),
            });
            shift += self.bits(place);
        }
        Ok(columns)
    }

    fn bits(&self, place: usize) -> u32 {
        match &self.layout {
            Layout::Packed(bits) => bits[place],
            _ => 0,
        }
    }
}

fn unpacked(packed: &[u128], shift: u32, bits: u32, data_type: &DataType) -> Result<ArrayRef> {
    let unused = 64 - (bits - 1);
    let signed = *data_type != DataType::UInt32 && *data_type != DataType::Boolean;
    let value = |key: &u128| {
        let moved = ((key >> (shift + 1)) as u64) << unused;
        if signed { moved as i64 >> unused } else { (moved >> unused) as i64 }
    };
    let valid: NullBuffer = packed.iter().map(|key| key >> shift & 1 == 0).collect::<Vec<bool>>().into();
    whole::column(packed.iter().map(value).collect(), Some(valid).filter(|n| n.null_count() > 0), data_type)
}

fn layout(keys: &[Part]) -> Result<Layout> {
    let inner: Vec<&Part> = keys.iter().filter(|part| !matches!(part, Part::Bucket(_))).collect();
    if inner.is_empty() {
        return Ok(Layout::None);
    }
    if let [Part::Whole { .. }] = inner[..] {
        return Ok(Layout::Whole);
    }
    let size = |part: &&Part| match part {
        Part::Symbol(codes) => Some(codes.size),
        _ => None,
    };
    let slots = inner.iter().map(size).try_fold(1usize, |product, size| product.checked_mul(size?));
    if let Some(slots) = slots.filter(|slots| *slots <= MOST_SLOTS) {
        return Ok(Layout::Slots(slots));
    }
    let bits: Vec<u32> = keys
        .iter()
        .map(|part| match part {
            Part::Bucket(_) => 0,
            Part::Symbol(codes) => usize::BITS - codes.size.leading_zeros(),
            Part::Whole { data_type, .. } => bits_of(data_type).unwrap_or(64) + 1,
        })
        .collect();
    if bits.iter().sum::<u32>() > u128::BITS {
        return datafusion::common::not_impl_err!("keys of {} bits", bits.iter().sum::<u32>());
    }
    Ok(Layout::Packed(bits))
}

impl Codes {
    fn new(source: &Source, place: usize, expr: Option<&Arc<dyn PhysicalExpr>>) -> Result<Codes> {
        let texts = texts(source, place)?;
        let null = texts.len();
        let Some(expr) = expr else {
            return Ok(Codes { place, values: texts, size: null + 1, numbers: None, null_number: null as u32 });
        };
        let by_code = over_texts(source, place, expr)?;
        let mut known: HashMap<ScalarValue, u32> = HashMap::new();
        let (mut numbers, mut firsts) = (Vec::with_capacity(by_code.len()), Vec::new());
        for code in 0..by_code.len() {
            let next = firsts.len() as u32;
            let number = *known.entry(ScalarValue::try_from_array(&by_code, code)?).or_insert(next);
            if number == next {
                firsts.push(code as u32);
            }
            numbers.push(number);
        }
        let values = take(&by_code, &UInt32Array::from(firsts), None)?;
        let null_number = numbers[null];
        Ok(Codes { place, size: values.len(), values, numbers: Some(numbers), null_number })
    }

    /// Returns the rank of each number among all, NULL's where it is told.
    fn ranks(&self, options: SortOptions) -> Result<Vec<u32>> {
        let null = new_null_array(self.values.data_type(), self.size - self.values.len());
        let values = concat(&[self.values.as_ref(), null.as_ref()])?;
        let mut ranks = vec![0; values.len()];
        let order = sort_to_indices(&values, Some(options), None)?;
        order.values().iter().enumerate().for_each(|(rank, number)| ranks[*number as usize] = rank as u32);
        Ok(ranks)
    }

    /// Returns the values of these numbers.
    fn texts(&self, numbers: impl Iterator<Item = u32>) -> Result<ArrayRef> {
        let count = self.values.len() as u32;
        let places: UInt32Array = numbers.map(|number| (number < count).then_some(number)).collect();
        Ok(take(&self.values, &places, None)?)
    }

    /// Returns the numbers of the values of the rows that count.
    fn numbers(&self, block: &Block) -> Result<ScalarBuffer<u32>> {
        let codes = stored(block, self.place)?;
        let codes = codes.as_primitive::<Int32Type>();
        let number = |code: i32| match &self.numbers {
            None => code as u32,
            Some(numbers) => numbers[code as usize],
        };
        Ok(match (codes.nulls().filter(|nulls| nulls.null_count() > 0), &self.numbers) {
            // a valid code is not negative
            (None, None) => ScalarBuffer::new(codes.values().inner().clone(), 0, codes.len()),
            (None, Some(numbers)) => codes.values().iter().map(|code| numbers[*code as usize]).collect(),
            (Some(nulls), _) => {
                let rows = codes.values().iter().zip(nulls.iter());
                rows.map(|(code, valid)| if valid { number(*code) } else { self.null_number }).collect()
            }
        })
    }
}

/// Returns the texts of a symbol column by code.
fn texts(source: &Source, place: usize) -> Result<ArrayRef> {
    match source.dictionary(place)? {
        Some(texts) => Ok(texts),
        None => datafusion::common::internal_err!("column {place} is no symbol"),
    }
}

/// Returns what an expression over one symbol column makes of its texts by code, and of NULL after them.
fn over_texts(source: &Source, place: usize, expr: &Arc<dyn PhysicalExpr>) -> Result<ArrayRef> {
    let texts = concat(&[texts(source, place)?.as_ref(), new_null_array(&DataType::Utf8View, 1).as_ref()])?;
    let rows = texts.len();
    let field = source.schema().field(place).clone().with_nullable(true);
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![texts])?;
    moved(expr, |_| 0)?.evaluate(&batch)?.into_array(rows)
}

fn moved(expr: &Arc<dyn PhysicalExpr>, to: impl Fn(usize) -> usize) -> Result<Arc<dyn PhysicalExpr>> {
    let moved = expr.clone().transform(|expr| {
        let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(column.name(), to(column.index())));
        Ok(Transformed::yes(column))
    });
    Ok(moved?.data)
}

/// Returns a column of the rows that count as it is stored.
fn stored(block: &Block, place: usize) -> Result<ArrayRef> {
    match block.selection() {
        Selection::All => Ok(block.column(place).clone()),
        Selection::Rows(rows) => Ok(take(block.column(place), &UInt32Array::from(rows.clone()), None)?),
    }
}

impl Compiled {
    fn new(source: &Source, expr: &Arc<dyn PhysicalExpr>) -> Result<Compiled> {
        if let Some(column) = expr.downcast_ref::<Column>().filter(|column| !source.is_symbol(column.index())) {
            return Ok(Compiled::Shown(column.index()));
        }
        let mut places: Vec<usize> = collect_columns(expr).iter().map(Column::index).collect();
        places.sort_unstable();
        places.dedup();
        if let [place] = places[..]
            && source.is_symbol(place)
            && let Ok(values) = over_texts(source, place, expr)
        {
            return Ok(Compiled::ByCode { place, values });
        }
        let expr = moved(expr, |place| places.binary_search(&place).unwrap_or_default())?;
        let fields: Vec<_> = places.iter().map(|place| source.schema().fields()[*place].clone()).collect();
        Ok(Compiled::Computed { expr, places, schema: Arc::new(Schema::new(fields)) })
    }

    fn of(&self, block: &Block) -> Result<ArrayRef> {
        match self {
            Compiled::Stored(place) => stored(block, *place),
            Compiled::Shown(place) => block.selected(*place),
            Compiled::ByCode { place, values } => {
                let codes = stored(block, *place)?;
                let codes = codes.as_primitive::<Int32Type>();
                let null = (values.len() - 1) as u32;
                let places = codes.iter().map(|code| code.map_or(null, |code| code as u32));
                Ok(take(values, &UInt32Array::from_iter_values(places), None)?)
            }
            Compiled::Computed { expr, places, schema } => {
                let batch = block.batch(places, schema)?;
                expr.evaluate(&batch)?.into_array(block.selected_rows())
            }
        }
    }
}
