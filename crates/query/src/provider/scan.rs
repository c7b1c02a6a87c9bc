//! The leaf of a plan: a blocking scan of storage on its own thread, handed over batch by batch.
//!
//! Symbol codes become texts here, by the column's dictionary. A dropped stream ends the scan at its next batch.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, RecordBatchOptions, StringViewArray, UInt16Array};
use arrow::compute::{SortOptions, cast, take};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, StatisticsArgs};
use storage::TableView;
use types::{ColumnDef, ColumnId, ColumnType, TimeRange};

use crate::error::SqlError;
use crate::exec::operator::reads_tables;
use crate::kind::Kind;

/// Rows handed over at once.
const CHUNK_ROWS: usize = 8192;

/// What is read.
#[derive(Clone)]
pub struct ScanSpec {
    pub view: TableView,
    /// Places of the columns in the table's schema.
    pub columns: Vec<usize>,
    /// Disjoint rising ranges of the designated timestamp.
    pub ranges: Vec<TimeRange>,
    pub limit: Option<usize>,
}

impl ScanSpec {
    fn is_whole(&self) -> bool {
        self.limit.is_none() && self.ranges[..] == [TimeRange::ALL]
    }
}

/// A scan of one stored table.
pub struct StoredScan {
    spec: ScanSpec,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl StoredScan {
    /// Returns the scan of some columns of `table_schema`.
    pub fn new(spec: ScanSpec, table_schema: &SchemaRef) -> Result<StoredScan> {
        let schema = Arc::new(table_schema.project(&spec.columns)?);
        let mut equivalences = EquivalenceProperties::new(schema.clone());
        let time = spec.view.schema().designated_index();
        if let Some(place) = spec.columns.iter().position(|c| Some(*c) == time) {
            let column: Arc<dyn PhysicalExpr> = Arc::new(PhysicalColumn::new(schema.field(place).name(), place));
            let ascending = SortOptions { descending: false, nulls_first: true };
            equivalences.add_ordering([PhysicalSortExpr::new(column, ascending)]);
        }
        let partitioning = Partitioning::UnknownPartitioning(1);
        let properties =
            PlanProperties::new(equivalences, partitioning, EmissionType::Incremental, Boundedness::Bounded);
        Ok(StoredScan { spec, schema, properties: Arc::new(properties) })
    }

    /// Returns what is read.
    pub fn spec(&self) -> &ScanSpec {
        &self.spec
    }
}

impl fmt::Debug for StoredScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredScan({})", self.spec.view.name())
    }
}

impl DisplayAs for StoredScan {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let kind = if self.spec.ranges[..] == [TimeRange::ALL] { "Frame" } else { "Interval" };
        write!(f, "{kind} forward scan on: {}", self.spec.view.name())?;
        if kind == "Interval" {
            write!(f, " intervals: {}", shown_ranges(&self.spec.ranges))?;
        }
        Ok(())
    }
}

/// Returns ranges of time as EXPLAIN shows them.
pub fn shown_ranges(ranges: &[TimeRange]) -> String {
    let shown: Vec<String> = ranges.iter().map(shown_range).collect();
    format!("[{}]", shown.join(","))
}

fn shown_range(range: &TimeRange) -> String {
    let start = match range.start_us {
        i64::MIN => "MIN".to_owned(),
        us => types::TimestampUs(us).to_string(),
    };
    let end = match range.end_us {
        i64::MAX => "MAX".to_owned(),
        us => types::TimestampUs(us - 1).to_string(),
    };
    format!("(\"{start}\",\"{end}\")")
}

impl ExecutionPlan for StoredScan {
    fn name(&self) -> &str {
        "StoredScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    reads_tables!();

    fn execute(&self, _partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), 2);
        let (sender, spec, schema) = (builder.tx(), self.spec.clone(), self.schema.clone());
        builder.spawn_blocking(move || {
            for batch in Batches::new(spec, schema)? {
                if sender.blocking_send(batch).is_err() {
                    break;
                }
            }
            Ok(())
        });
        Ok(builder.build())
    }

    fn statistics_from_inputs(&self, _inputs: &[Arc<Statistics>], _args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(Arc::new(statistics(&self.spec, &self.schema)))
    }
}

/// Returns the exact number of rows and bounds of time of a whole table; of a part nothing exact is known.
fn statistics(spec: &ScanSpec, schema: &SchemaRef) -> Statistics {
    let mut statistics = Statistics::new_unknown(schema);
    let Ok(rows) = spec.view.row_count().map(|rows| rows as usize) else {
        // The scan itself will tell what is wrong.
        return statistics;
    };
    if !spec.is_whole() {
        statistics.num_rows = Precision::Inexact(spec.limit.map_or(rows, |limit| limit.min(rows)));
        return statistics;
    }
    statistics.num_rows = Precision::Exact(rows);
    let time = spec.view.schema().designated_index();
    // Of nanoseconds only the microseconds that the bounds lie in are known.
    let time = time.filter(|place| spec.view.schema().columns[*place].column_type == ColumnType::Timestamp);
    let place = spec.columns.iter().position(|c| Some(*c) == time);
    if let (Some(place), Some((first_us, last_us))) = (place, spec.view.time_bounds()) {
        let exact = |us| Precision::Exact(ScalarValue::TimestampMicrosecond(Some(us), None));
        statistics.column_statistics[place] = ColumnStatistics {
            null_count: Precision::Exact(0),
            min_value: exact(first_us),
            max_value: exact(last_us),
            ..ColumnStatistics::new_unknown()
        };
    }
    statistics
}

/// The batches of a scan, made on the calling thread.
struct Batches {
    rows: Box<dyn Iterator<Item = storage::Result<Vec<ArrayRef>>> + Send>,
    /// The dictionary of each column that is a symbol.
    dictionaries: Vec<Option<Arc<StringViewArray>>>,
    schema: SchemaRef,
    left: usize,
}

impl Batches {
    fn new(spec: ScanSpec, schema: SchemaRef) -> Result<Batches> {
        let table = spec.view.schema();
        let left = spec.limit.unwrap_or(usize::MAX);
        if spec.columns.is_empty() && spec.ranges[..] == [TimeRange::ALL] {
            let count = spec.view.row_count().map_err(storage_error)? as usize;
            return Ok(Batches { rows: Box::new(counted(count)), dictionaries: Vec::new(), schema, left });
        }
        let mut dictionaries = Vec::new();
        for place in &spec.columns {
            let column = &table.columns[*place];
            let is_symbol = column.column_type == ColumnType::Symbol;
            let dictionary = is_symbol.then(|| spec.view.dictionary(column.id)).transpose().map_err(storage_error)?;
            dictionaries.push(dictionary);
        }
        let mut ids: Vec<ColumnId> = spec.columns.iter().map(|place| table.columns[*place].id).collect();
        if ids.is_empty() {
            ids.push(table.designated.unwrap_or(table.columns[0].id));
        }
        let rows = spec.view.scan(&ids, &spec.ranges, CHUNK_ROWS).map_err(storage_error)?;
        Ok(Batches { rows: Box::new(rows), dictionaries, schema, left })
    }

    fn batch(&mut self, arrays: Vec<ArrayRef>) -> Result<RecordBatch> {
        let rows = arrays.first().map_or(0, |a| a.len()).min(self.left);
        self.left -= rows;
        let mut columns = Vec::with_capacity(self.dictionaries.len());
        for (i, dictionary) in self.dictionaries.iter().enumerate() {
            columns.push(shown(arrays[i].slice(0, rows), dictionary.as_deref(), self.schema.field(i).data_type())?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        match self.rows.next()? {
            Ok(arrays) => Some(self.batch(arrays)),
            Err(error) => Some(Err(storage_error(error))),
        }
    }
}

/// Returns chunks of a column that nobody reads, as many rows as the table has.
fn counted(rows: usize) -> impl Iterator<Item = storage::Result<Vec<ArrayRef>>> {
    let chunks = rows.div_ceil(CHUNK_ROWS);
    (0..chunks).map(move |i| {
        let length = CHUNK_ROWS.min(rows - i * CHUNK_ROWS);
        Ok(vec![Arc::new(arrow::array::NullArray::new(length)) as ArrayRef])
    })
}

/// Returns stored values of a column as expressions see them.
pub fn shown_values(view: &TableView, column: &ColumnDef, values: &ArrayRef) -> Result<ArrayRef> {
    let is_symbol = column.column_type == ColumnType::Symbol;
    let dictionary = is_symbol.then(|| view.dictionary(column.id)).transpose().map_err(storage_error)?;
    shown(values.clone(), dictionary.as_deref(), &Kind::from(column.column_type).arrow())
}

/// Returns a stored array as the plan's schema has it: symbols as texts, texts as views.
pub fn shown(array: ArrayRef, dictionary: Option<&StringViewArray>, wanted: &DataType) -> Result<ArrayRef> {
    match dictionary {
        Some(values) => {
            let codes: &Int32Array = arrow::array::AsArray::as_primitive(&array);
            Ok(take(values, codes, None)?)
        }
        None if array.data_type() == wanted => Ok(array),
        None if *array.data_type() == DataType::UInt16 => {
            let units: &UInt16Array = arrow::array::AsArray::as_primitive(&array);
            let text = |unit: Option<u16>| unit.and_then(crate::functions::cast::char_text);
            Ok(Arc::new(units.iter().map(text).collect::<StringViewArray>()))
        }
        None => Ok(cast(&array, wanted)?),
    }
}

fn storage_error(error: storage::Error) -> DataFusionError {
    SqlError::from_storage(&error).into_datafusion()
}
