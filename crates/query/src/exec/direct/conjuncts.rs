//! What rows must meet, compiled for one source: [`Conjuncts`].
//!
//! A conjunct that speaks of one symbol column alone is computed once for each text of its dictionary and for NULL; rows then
//! look their code up. Numbers are compared with constants in wide loops ([`compared`]). The others are computed by the
//! engine, on the columns that they need; when few rows are left, on those.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, StringViewArray, UInt32Array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::concat;
use arrow::datatypes::{Int32Type, Schema, SchemaRef};
use datafusion::common::internal_err;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr_common::physical_expr::snapshot_generation;
use storage::run::Known;

use super::block::{Block, Selection};

mod compared;

use compared::{Compared, mask_where, with_nulls};

/// A conjunct is computed for the rows that are left when they are fewer than one in so many.
const FEW: usize = 8;
/// Words of a mask that are passed over together where nothing is set.
const GROUP_WORDS: usize = 4;

pub(super) struct Conjuncts {
    tables: Vec<CodeTable>,
    compared: Vec<Compared>,
    others: Vec<Computed>,
}

/// Which codes of a symbol column meet a conjunct.
pub(super) struct CodeTable {
    pub place: usize,
    /// By code.
    pub meets: Vec<bool>,
    pub null_meets: bool,
    /// The code that alone meets it.
    only: Option<i32>,
}

struct Computed {
    /// Over the columns at `places` alone.
    expr: Arc<dyn PhysicalExpr>,
    places: Vec<usize>,
    schema: SchemaRef,
}

impl Conjuncts {
    /// Compiles conjuncts over `schema` for about so many rows.
    pub fn compile(
        conjuncts: &[Arc<dyn PhysicalExpr>],
        schema: &SchemaRef,
        dictionaries: &[Option<Arc<StringViewArray>>],
        rows: usize,
    ) -> Result<Conjuncts> {
        let mut compiled = Conjuncts { tables: Vec::new(), compared: Vec::new(), others: Vec::new() };
        for conjunct in conjuncts {
            let column_type = |place: usize| schema.field(place).data_type().clone();
            if let Some(compared) = Compared::of(conjunct.as_ref(), column_type) {
                compiled.compared.push(compared);
                continue;
            }
            let computed = Computed::new(conjunct, schema)?;
            let table = match computed.places[..] {
                [place] => dictionaries[place].as_ref().and_then(|texts| CodeTable::new(&computed, place, texts, rows)),
                _ => None,
            };
            match table {
                Some(table) => compiled.tables.push(table),
                None => compiled.others.push(computed),
            }
        }
        // numbers before texts
        compiled.others.sort_by_key(|computed| {
            computed.schema.fields().iter().any(|field| field.data_type().primitive_width().is_none())
        });
        Ok(compiled)
    }

    /// Returns the conjuncts that are known by code.
    pub fn tables(&self) -> &[CodeTable] {
        &self.tables
    }

    /// Returns whether every row meets them.
    pub fn are_none(&self) -> bool {
        self.tables.is_empty() && self.compared.is_empty() && self.others.is_empty()
    }

    /// Returns whether all speak of one symbol column alone, by code.
    pub fn are_only_of(&self, place: usize) -> bool {
        self.compared.is_empty() && self.others.is_empty() && self.tables.iter().all(|table| table.place == place)
    }

    /// Returns whether a run may have a row that meets all, by what is known of its columns.
    pub fn may_meet(&self, known: impl Fn(usize) -> Option<Known>) -> bool {
        let may = |table: &CodeTable| match known(table.place) {
            None => true,
            Some(known) => {
                let range = known.min.zip(known.max).map_or(0..0, |(min, max)| min as usize..max as usize + 1);
                let codes = table.meets.get(range.start..range.end.min(table.meets.len()).max(range.start));
                known.nulls > 0 && table.null_meets || codes.is_none_or(|codes| codes.contains(&true))
            }
        };
        self.tables.iter().all(may)
            && self
                .compared
                .iter()
                .all(|compared| known(compared.place).is_none_or(|known| compared.may_be_met(&known)))
    }

    /// Returns the rows of a block that count and meet all; None when its selection stays as it is.
    pub fn select(&self, block: &Block) -> Result<Option<Selection>> {
        if self.tables.is_empty() && self.compared.is_empty() && self.others.is_empty() {
            return Ok(None);
        }
        let Some(left) = self.left_by_zones(block)? else { return self.select_all_over(block) };
        let mut found = Vec::new();
        for rows in left {
            let first = rows.start as u32;
            match self.select_all_over(&block.part(rows.clone()))? {
                Some(Selection::Rows(rows)) => found.extend(rows.into_iter().map(|row| first + row)),
                _ => found.extend(first..rows.end as u32),
            }
        }
        Ok(Some(Selection::Rows(found)))
    }

    /// Returns the stretches of rows that may meet all comparisons by what is known of zones; None where these are not far fewer
    /// than all.
    fn left_by_zones(&self, block: &Block) -> Result<Option<Vec<Range<usize>>>> {
        let mut left: Option<Vec<Range<usize>>> = None;
        for compared in self.compared.iter().filter(|compared| compared.has_bounds()) {
            let Some(zones) = block.zones(compared.place)? else { continue };
            let found = compared.left(&zones);
            left = Some(left.map_or_else(|| found.clone(), |left| both(&left, &found)));
        }
        Ok(left.filter(|left| left.iter().map(Range::len).sum::<usize>() <= block.rows() / 2))
    }

    fn select_all_over(&self, block: &Block) -> Result<Option<Selection>> {
        let mut mask = match block.selection() {
            Selection::All => None,
            Selection::Rows(rows) => Some(mask_of(rows, block.rows())),
        };
        for table in &self.tables {
            let met = table.mask(block.column(table.place));
            mask = Some(mask.map_or_else(|| met.clone(), |mask| &mask & &met));
        }
        for compared in &self.compared {
            let column = block.column(compared.place);
            let Some(met) = compared.mask(column) else {
                return internal_err!("a {} was compared as another type", column.data_type());
            };
            mask = Some(mask.map_or_else(|| met.clone(), |mask| &mask & &met));
        }
        for computed in &self.others {
            mask = Some(computed.mask(block, mask)?);
        }
        let Some(mask) = mask else { return Ok(None) };
        let rows = rows_of(&mask);
        Ok(Some(if rows.len() == block.rows() { Selection::All } else { Selection::Rows(rows) }))
    }
}

impl CodeTable {
    /// Returns the table of a conjunct over one symbol column; None when it changes while the plan runs, cannot be computed for a
    /// text that perhaps no row has, or would cost more than the rows.
    fn new(computed: &Computed, place: usize, texts: &Arc<StringViewArray>, rows: usize) -> Option<CodeTable> {
        if texts.len() > rows.max(1024) || snapshot_generation(&computed.expr) != 0 {
            return None;
        }
        let texts: &dyn Array = texts.as_ref();
        let null = arrow::array::new_null_array(texts.data_type(), 1);
        let values = concat(&[texts, null.as_ref()]).ok()?;
        let met = computed.over(vec![values], texts.len() + 1).ok()?;
        let mut meets: Vec<bool> = met.iter().collect();
        let null_meets = meets.pop()?;
        let mut codes = meets.iter().enumerate().filter(|(_, meets)| **meets).map(|(code, _)| code as i32);
        let only = match (codes.next(), codes.next()) {
            (Some(code), None) if !null_meets => Some(code),
            _ => None,
        };
        Some(CodeTable { place, meets, null_meets, only })
    }

    fn mask(&self, codes: &ArrayRef) -> BooleanBuffer {
        let codes = codes.as_primitive::<Int32Type>();
        let values: &[i32] = codes.values();
        let met = match self.only {
            Some(only) => mask_where(values, |code| code == only),
            None => mask_where(values, |code| self.meets.get(code as usize).is_some_and(|meets| *meets)),
        };
        with_nulls(met, codes.nulls(), self.null_meets)
    }
}

impl Computed {
    fn new(expr: &Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> Result<Computed> {
        let mut places: Vec<usize> = collect_columns(expr).iter().map(Column::index).collect();
        places.sort_unstable();
        places.dedup();
        let moved = expr.clone().transform(|expr| {
            let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
            let place = places.binary_search(&column.index()).unwrap_or_default();
            Ok(Transformed::yes(Arc::new(Column::new(column.name(), place)) as Arc<dyn PhysicalExpr>))
        })?;
        let fields: Vec<_> = places.iter().map(|place| schema.fields()[*place].clone()).collect();
        Ok(Computed { expr: moved.data, places, schema: Arc::new(Schema::new(fields)) })
    }

    /// Returns which rows of these columns meet the conjunct.
    fn over(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<BooleanBuffer> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        let met = self.expr.evaluate(&batch)?.into_array(rows)?;
        let met: &BooleanArray = datafusion::common::cast::as_boolean_array(&met)?;
        Ok(match met.nulls() {
            Some(valid) => met.values() & valid.inner(),
            None => met.values().clone(),
        })
    }

    /// Returns which rows of a mask (all without one) meet the conjunct too.
    fn mask(&self, block: &Block, mask: Option<BooleanBuffer>) -> Result<BooleanBuffer> {
        let all = || {
            let columns = self.places.iter().map(|place| block.shown(*place)).collect::<Result<Vec<_>>>()?;
            self.over(columns, block.rows())
        };
        let Some(mask) = mask else { return all() };
        let left = mask.count_set_bits();
        if left == 0 {
            return Ok(mask);
        }
        if left > block.rows() / FEW
            && let Ok(met) = all()
        {
            return Ok(&mask & &met);
        }
        // few are left, or a row that does not count is the one that cannot be computed
        let rows: Vec<u32> = mask.set_indices().map(|row| row as u32).collect();
        let places = UInt32Array::from(rows.clone());
        let columns = self.places.iter().map(|place| block.picked(*place, &places)).collect::<Result<Vec<_>>>()?;
        let met = self.over(columns, rows.len())?;
        let met: Vec<u32> = met.set_indices().map(|place| rows[place]).collect();
        Ok(mask_of(&met, block.rows()))
    }
}

/// Returns the rows that are in stretches of both lists, which rise.
fn both(one: &[Range<usize>], other: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut found, mut others) = (Vec::new(), other.iter().peekable());
    for rows in one {
        while let Some(other) = others.peek() {
            let common = rows.start.max(other.start)..rows.end.min(other.end);
            if !common.is_empty() {
                found.push(common);
            }
            if other.end > rows.end {
                break;
            }
            others.next();
        }
    }
    found
}

/// Returns the rows that are set.
fn rows_of(mask: &BooleanBuffer) -> Vec<u32> {
    // to count them first would cost more than to grow
    let mut rows = Vec::with_capacity(mask.len() / FEW);
    let words: Vec<u64> = mask.bit_chunks().iter_padded().collect();
    for (group, words) in words.chunks(GROUP_WORDS).enumerate() {
        if words.iter().all(|word| *word == 0) {
            continue;
        }
        for (place, word) in words.iter().enumerate() {
            add_rows((group * GROUP_WORDS + place) as u32 * u64::BITS, *word, &mut rows);
        }
    }
    rows
}

/// Appends the rows that are set in a word: the first few of them whether they are there or not, for how many there are nobody can
/// guess, a processor neither.
fn add_rows(first: u32, word: u64, rows: &mut Vec<u32>) {
    let (mut left, mut some, mut taken) = (word, [0; 4], rows.len());
    for row in &mut some {
        *row = first + left.trailing_zeros();
        taken += usize::from(left != 0);
        left &= left.wrapping_sub(1);
    }
    rows.extend_from_slice(&some);
    rows.truncate(taken);
    while left != 0 {
        rows.push(first + left.trailing_zeros());
        left &= left - 1;
    }
}

/// Returns a mask of `len` rows in which `rows` are set.
fn mask_of(rows: &[u32], len: usize) -> BooleanBuffer {
    let mut mask = arrow::array::BooleanBufferBuilder::new(len);
    mask.append_n(len, false);
    rows.iter().for_each(|row| mask.set_bit(*row as usize, true));
    mask.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_a_mask_are_those_that_are_set() {
        for step in [1, 2, 3, 7, 16, 17, 63, 64, 65, 300, 5_000] {
            for (start, len) in [(0, 0), (0, 1), (0, 64), (3, 200), (0, 4_099), (65, 1_000)] {
                let all = BooleanBuffer::collect_bool(start + len, |row| row % step == step / 2 || row % 601 > 590);
                let mask = all.slice(start, len);
                let expected: Vec<u32> = mask.set_indices().map(|row| row as u32).collect();
                assert_eq!(rows_of(&mask), expected, "every {step}th of {len} from {start}");
            }
        }
    }
}
