//! ALTER TABLE … ALTER COLUMN … TYPE: which changes there are, and the values as CAST makes them.
//!
//! What does not fit becomes NULL, 0 or false, whole numbers keep their low bits; a moment that nanoseconds cannot hold is
//! refused, and nothing has changed then. Storage makes it one commit.

use std::sync::Mutex;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::Schema as ArrowSchema;
use datafusion::common::{Column as PlanColumn, DFSchema};
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use storage::{ColumnChange, TableView};
use types::{ColumnData, ColumnDef as StoredColumn, ColumnType};

use super::Session;
use super::create::column_type;
use super::rows::row_batch;
use crate::error::SqlError;
use crate::functions::{self, Typed};
use crate::kind::Kind;
use crate::parser::ast::{ColumnDef, Ident};
use crate::provider;

impl Session {
    /// Gives the column at `place` another type.
    pub(super) async fn retype(
        &self,
        table: &TableView,
        place: usize,
        name: &Ident,
        new: &ColumnDef,
    ) -> Result<(), SqlError> {
        let error = |message: String| Err(SqlError::new(new.type_name.position, message));
        let wanted = column_type(&new.type_name)?;
        let column = table.schema().columns[place].clone();
        if table.schema().designated_index() == Some(place) {
            return error("cannot change type of designated timestamp column".to_owned());
        }
        if column.column_type == wanted {
            return error(format!("column '{}' type is already '{wanted}'", name.name));
        }
        if !converts(column.column_type, wanted) {
            let message = format!("incompatible column type change [existing={}, new={wanted}]", column.column_type);
            return error(message);
        }
        let (id, state, database) = (table.id(), self.state.clone(), self.database.clone());
        let (symbol, indexed) = (new.symbol, new.indexed);
        self.off_runtime(move || {
            let failure: Mutex<Option<SqlError>> = Mutex::new(None);
            let convert = |view: &TableView, values: &ArrayRef| {
                converted(&state, view, &column, values, wanted).map_err(|error| {
                    let message = error.message.clone();
                    *failure.lock().expect("no holder panics") = Some(error);
                    storage::Error::Invalid(message)
                })
            };
            let outcome = database.convert_column(id, &column.name, wanted, convert);
            if let Some(own) = failure.lock().expect("no holder panics").take() {
                return Err(own);
            }
            outcome.map_err(|e| SqlError::from_storage(&e))?;
            if wanted == ColumnType::Symbol && (indexed || symbol != Default::default()) {
                let changes = [
                    ColumnChange::Index { column: column.name.clone(), indexed },
                    ColumnChange::Symbol { column: column.name, options: symbol },
                ];
                database.alter_columns(id, &changes).map_err(|e| SqlError::from_storage(&e))?;
            }
            Ok(())
        })
        .await
    }
}

/// Returns whether values of one type become values of another, as the peer has it.
fn converts(from: ColumnType, to: ColumnType) -> bool {
    use ColumnType::*;
    let plain = |t: ColumnType| {
        matches!(t, Boolean | Byte | Short | Int | Float | Long | Double | Date | Timestamp | TimestampNs)
    };
    let text = |t: ColumnType| matches!(t, Symbol | String | Varchar);
    match (from, to) {
        (from, to) if plain(from) => plain(to) || text(to),
        (Ipv4 | Char | Uuid, to) => text(to),
        (Symbol, Char | Uuid) | (String | Varchar, Char | Uuid | Ipv4) => true,
        (from, to) => text(from) && (plain(to) || text(to)),
    }
}

/// Returns the values of a stored column under its new type.
fn converted(
    state: &SessionState,
    view: &TableView,
    column: &StoredColumn,
    values: &ArrayRef,
    wanted: ColumnType,
) -> Result<ColumnData, SqlError> {
    let (from, to) = (Kind::from(column.column_type), Kind::from(wanted));
    let shown = provider::shown_values(view, column, values).map_err(|e| SqlError::from_datafusion(&e))?;
    let value = Typed::new(Expr::Column(PlanColumn::new_unqualified("value")), from, 0);
    let cast = functions::cast::explicit(value, to, 0)?;
    let evaluate = || {
        let schema = std::sync::Arc::new(ArrowSchema::new(vec![from.field("value")]));
        let batch = RecordBatch::try_new(schema.clone(), vec![shown])?;
        let physical = state.create_physical_expr(cast.expr, &DFSchema::try_from(schema)?)?;
        let array = physical.evaluate(&batch)?.into_array(batch.num_rows())?;
        let schema = std::sync::Arc::new(ArrowSchema::new(vec![to.field("value")]));
        RecordBatch::try_new(schema, vec![array]).map_err(Into::into)
    };
    let batch: RecordBatch = evaluate().map_err(|e| SqlError::from_datafusion(&e))?;
    let target = StoredColumn::new(column.id, &column.name, wanted);
    let rows = row_batch(&batch, &[&target])?;
    let data = rows.into_columns().into_iter().next().map(|c| c.data);
    data.ok_or_else(|| SqlError::internal("a converted column was lost"))
}
