//! Own functions under the engine's SQL: [`function`].
//!
//! A function is bound anew for each call, since what it is may depend on the types and constants of its arguments.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, RecordBatchOptions, StringViewArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type, Schema};
use datafusion::common::{Column, DFSchema, ScalarValue, internal_datafusion_err};
use datafusion::error::Result as DfResult;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, SimpleScalarUDF,
    TypeSignature, Volatility, create_udf,
};
use datafusion::physical_expr::create_physical_expr;

use serde_json::Value;
use storage::ReadView;

use crate::SqlError;
use crate::functions::{self, Call, Environment, Typed, catalog};
use crate::kind::Kind;

/// Returns the own function of that name; None if there is none.
pub fn function(name: &str, environment: &Environment) -> Option<Arc<ScalarUDF>> {
    functions::find(name)?;
    let types = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
    let signature = Signature::one_of(types, Volatility::Stable);
    let bridge = Bridge { name: name.to_owned(), signature, environment: environment.clone() };
    Some(Arc::new(ScalarUDF::new_from_impl(bridge)))
}

/// The function that tells the name of a relation by its number.
pub const REGCLASS_NAME: &str = "regclass_name";
/// The function that tells the number of a relation by its name.
pub const REGCLASS_NUMBER: &str = "regclass_number";
const JSON_OBJECT: &str = "json_build_object";

/// Returns the functions that look up relations; None for another name.
pub fn lookup(name: &str, view: &ReadView) -> Option<Arc<ScalarUDF>> {
    let view = view.clone();
    let (from, to): (DataType, DataType) = match name {
        REGCLASS_NAME => (DataType::Int32, DataType::Utf8View),
        REGCLASS_NUMBER => (DataType::Utf8View, DataType::Int32),
        _ => return None,
    };
    let names = from == DataType::Int32;
    let found = move |args: &[ColumnarValue]| -> DfResult<ColumnarValue> {
        let rows = ColumnarValue::values_to_arrays(args)?;
        let array: ArrayRef = if names {
            let tables = view.tables();
            let name = |oid: i32| {
                let table = tables.iter().find(|table| table.id().0 as i32 == oid).map(|table| table.name());
                let found =
                    table.or_else(|| view.sql_views().find(|view| view.id.0 as i32 == oid).map(|view| &view.name));
                found.map_or_else(|| oid.to_string(), |name| name.as_str().to_owned())
            };
            let oids = rows[0].as_primitive::<Int32Type>().iter();
            Arc::new(StringViewArray::from_iter(oids.map(|oid| oid.map(name))))
        } else {
            let number = |name: &str| catalog::relation_number(last_name(name), &view);
            let names = rows[0].as_string_view().iter();
            Arc::new(Int32Array::from_iter(names.map(|name| name.and_then(number))))
        };
        match args {
            [ColumnarValue::Scalar(_)] => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)),
            _ => Ok(ColumnarValue::Array(array)),
        }
    };
    Some(Arc::new(create_udf(name, vec![from], to, Volatility::Stable, Arc::new(found))))
}

/// Returns json_build_object(key, value, …): an object as a text; None for another name.
pub fn json(name: &str) -> Option<Arc<ScalarUDF>> {
    if name != JSON_OBJECT {
        return None;
    }
    let built = |args: &[ColumnarValue]| -> DfResult<ColumnarValue> {
        let rows = ColumnarValue::values_to_arrays(args)?;
        let texts = rows.iter().map(|array| arrow::compute::cast(array, &DataType::Utf8View));
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        let value = |at: usize, row: usize| match texts[at].is_null(row) {
            true => Value::Null,
            false => {
                let text = texts[at].as_string_view().value(row);
                let is_bare = rows[at].data_type().is_numeric() || *rows[at].data_type() == DataType::Boolean;
                serde_json::from_str(text).ok().filter(|_| is_bare).unwrap_or_else(|| Value::from(text))
            }
        };
        let object = |row: usize| {
            let pairs = (0..texts.len() / 2).map(|pair| {
                let key = value(2 * pair, row);
                (key.as_str().map_or_else(|| key.to_string(), str::to_owned), value(2 * pair + 1, row))
            });
            Value::Object(pairs.collect()).to_string()
        };
        let count = rows.first().map_or(1, |array| array.len());
        Ok(ColumnarValue::Array(Arc::new(StringViewArray::from_iter_values((0..count).map(object)))))
    };
    let signature = Signature::one_of(vec![TypeSignature::Nullary, TypeSignature::VariadicAny], Volatility::Stable);
    let function = SimpleScalarUDF::new_with_signature(name, signature, DataType::Utf8View, Arc::new(built));
    Some(Arc::new(ScalarUDF::new_from_impl(function)))
}

/// Returns a relation's name without its schema and quotes.
fn last_name(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name).trim_matches('"')
}

#[derive(Clone)]
struct Bridge {
    name: String,
    signature: Signature,
    environment: Environment,
}

impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl PartialEq for Bridge {
    fn eq(&self, other: &Bridge) -> bool {
        self.name == other.name
    }
}

impl Eq for Bridge {}

impl Hash for Bridge {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Bridge {
    /// Binds a call; arguments that are no constants become columns named by their places.
    fn bind(&self, fields: &[FieldRef], constants: &[Option<&ScalarValue>]) -> DfResult<Typed> {
        let args = fields.iter().zip(constants).enumerate().map(|(i, (field, constant))| {
            let kind = kind_of(field);
            match constant {
                Some(value) => Ok(Typed::literal(value.cast_to(&kind.arrow())?, kind, 0)),
                None => Ok(Typed::column(Column::new_unqualified(place(i)), kind, 0)),
            }
        });
        let call = Call::new(self.name.clone(), 0, args.collect::<DfResult<_>>()?);
        functions::scalar(&call, &self.environment).map_err(SqlError::into_datafusion)
    }
}

fn place(i: usize) -> String {
    format!("a{i}")
}

/// Returns the kind that a field tells, or else that of its type.
pub fn kind_of(field: &Field) -> Kind {
    let told = Kind::of_field(field);
    if told.arrow() == *field.data_type() { told } else { Kind::of_arrow(field.data_type()) }
}

impl ScalarUDFImpl for Bridge {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Err(internal_datafusion_err!("{} has no type without its arguments", self.name))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> DfResult<FieldRef> {
        let bound = self.bind(args.arg_fields, args.scalar_arguments)?;
        Ok(Arc::new(Field::new(&self.name, bound.kind.arrow(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let constants: Vec<Option<&ScalarValue>> = args
            .args
            .iter()
            .map(|arg| match arg {
                ColumnarValue::Scalar(value) => Some(value),
                ColumnarValue::Array(_) => None,
            })
            .collect();
        let bound = self.bind(&args.arg_fields, &constants)?;
        let (mut fields, mut arrays) = (Vec::new(), Vec::<ArrayRef>::new());
        for (i, (arg, field)) in args.args.iter().zip(&args.arg_fields).enumerate() {
            if let ColumnarValue::Array(array) = arg {
                let data_type = kind_of(field).arrow();
                arrays.push(arrow::compute::cast(array, &data_type)?);
                fields.push(Field::new(place(i), data_type, true));
            }
        }
        let schema = Arc::new(Schema::new(fields));
        let rows = RecordBatchOptions::new().with_row_count(Some(args.number_rows));
        let batch = RecordBatch::try_new_with_options(schema.clone(), arrays, &rows)?;
        let expr: Expr = bound.expr;
        let (schema, properties) = (DFSchema::try_from(schema)?, ExecutionProps::new());
        let physical = create_physical_expr(&expr, &schema, &properties, &PhysicalPlanningContext::default())?;
        physical.evaluate(&batch)
    }
}
