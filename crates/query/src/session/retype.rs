//! ALTER TABLE … ALTER COLUMN … TYPE: which changes there are, and the values as CAST makes them.
//!
//! What does not fit becomes NULL, 0 or false, whole numbers keep their low bits; a moment that nanoseconds cannot hold is
//! refused, and nothing has changed then. Storage makes it one commit.

use std::sync::Mutex;

use arrow::array::ArrayRef;
use storage::{ColumnChange, TableView};
use types::{ColumnData, ColumnDef as StoredColumn, ColumnType};

use super::Session;
use super::create::column_type;
use super::rows;
use crate::error::SqlError;
use crate::functions;
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
        if !functions::cast::alters(Kind::from(column.column_type), Kind::from(wanted)) {
            let message = format!("incompatible column type change [existing={}, new={wanted}]", column.column_type);
            // At the last token of the type: a closing bracket where it has parameters.
            let written = &new.type_name.name;
            let behind = if written.ends_with(')') { written.len() - 1 } else { 0 };
            return Err(SqlError::new(new.type_name.position + behind, message));
        }
        let (id, database) = (table.id(), self.database.clone());
        let (symbol, indexed) = (new.symbol, new.indexed);
        self.off_runtime(move || {
            let failure: Mutex<Option<SqlError>> = Mutex::new(None);
            let convert = |view: &TableView, values: &ArrayRef| {
                converted(view, &column, values, wanted).map_err(|error| {
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

/// Returns the values of a stored column under its new type.
fn converted(
    view: &TableView,
    column: &StoredColumn,
    values: &ArrayRef,
    wanted: ColumnType,
) -> Result<ColumnData, SqlError> {
    let (from, to) = (Kind::from(column.column_type), Kind::from(wanted));
    let shown = provider::shown_values(view, column, values).map_err(|e| SqlError::from_datafusion(&e))?;
    let mut data = ColumnData::new(wanted);
    rows::fill(&mut data, &functions::cast::altered(&shown, from, to)?)?;
    Ok(data)
}
