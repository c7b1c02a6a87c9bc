//! How a function sees its columns, and the one DataFusion function type that all of them are.
//!
//! A kernel reads arguments through [`Args`] (a constant is not spread over the rows) and returns one column. It never
//! looks at SQL, kinds or positions: binding has given every argument the Arrow type that the kernel expects.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, StringViewArray, StringViewBuilder,
};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType,
};
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, expr::ScalarFunction,
};

use super::SharedKernel;
use super::typed::Typed;
use crate::error::SqlError;
use crate::kind::Kind;

/// The arguments of one call over one batch.
pub struct Args<'a> {
    values: &'a [ColumnarValue],
    rows: usize,
}

impl<'a> Args<'a> {
    /// Returns arguments over so many rows; arrays have that length.
    pub fn new(values: &'a [ColumnarValue], rows: usize) -> Args<'a> {
        Args { values, rows }
    }

    /// Returns the number of rows to answer.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the number of arguments.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns whether there are no arguments.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns the value itself.
    pub fn value(&self, i: usize) -> &'a ColumnarValue {
        &self.values[i]
    }

    /// Returns the argument as an array of all rows.
    pub fn array(&self, i: usize) -> ArrayRef {
        self.values[i].to_array(self.rows).expect("binding gives constants a type that arrays have")
    }

    /// Returns a primitive argument of Arrow type `T`.
    pub fn numbers<T: ArrowPrimitiveType>(&self, i: usize) -> Numbers<'a, T> {
        match &self.values[i] {
            ColumnarValue::Array(array) => Numbers::Array(array.as_primitive::<T>()),
            ColumnarValue::Scalar(value) => {
                let array = value.to_array().expect("constants of primitive types have arrays");
                let one = array.as_primitive::<T>();
                Numbers::One(one.is_valid(0).then(|| one.value(0)))
            }
        }
    }

    /// Returns a BYTE argument.
    pub fn bytes(&self, i: usize) -> Numbers<'a, Int8Type> {
        self.numbers(i)
    }

    /// Returns a SHORT argument.
    pub fn shorts(&self, i: usize) -> Numbers<'a, Int16Type> {
        self.numbers(i)
    }

    /// Returns an INT argument.
    pub fn ints(&self, i: usize) -> Numbers<'a, Int32Type> {
        self.numbers(i)
    }

    /// Returns a LONG argument.
    pub fn longs(&self, i: usize) -> Numbers<'a, Int64Type> {
        self.numbers(i)
    }

    /// Returns a FLOAT argument.
    pub fn floats(&self, i: usize) -> Numbers<'a, Float32Type> {
        self.numbers(i)
    }

    /// Returns a DOUBLE argument.
    pub fn doubles(&self, i: usize) -> Numbers<'a, Float64Type> {
        self.numbers(i)
    }

    /// Returns a TIMESTAMP argument, in microseconds.
    pub fn timestamps(&self, i: usize) -> Numbers<'a, TimestampMicrosecondType> {
        self.numbers(i)
    }

    /// Returns a DATE argument, in milliseconds.
    pub fn dates(&self, i: usize) -> Numbers<'a, TimestampMillisecondType> {
        self.numbers(i)
    }

    /// Returns a text argument.
    pub fn texts(&self, i: usize) -> Texts<'a> {
        match &self.values[i] {
            ColumnarValue::Array(array) => Texts::Array(array.as_string_view()),
            ColumnarValue::Scalar(ScalarValue::Utf8View(text)) => Texts::One(text.as_deref()),
            ColumnarValue::Scalar(other) => unreachable!("binding casts {other:?} to text"),
        }
    }

    /// Returns a BOOLEAN argument.
    pub fn booleans(&self, i: usize) -> Booleans<'a> {
        match &self.values[i] {
            ColumnarValue::Array(array) => Booleans::Array(array.as_boolean()),
            ColumnarValue::Scalar(ScalarValue::Boolean(value)) => Booleans::One(value.unwrap_or(false)),
            ColumnarValue::Scalar(other) => unreachable!("binding casts {other:?} to boolean"),
        }
    }
}

/// A primitive argument: a column or a constant.
pub enum Numbers<'a, T: ArrowPrimitiveType> {
    Array(&'a PrimitiveArray<T>),
    One(Option<T::Native>),
}

impl<T: ArrowPrimitiveType> Numbers<'_, T> {
    /// Returns the value of a row; None is NULL.
    pub fn get(&self, row: usize) -> Option<T::Native> {
        match self {
            Numbers::Array(array) => array.is_valid(row).then(|| array.value(row)),
            Numbers::One(value) => *value,
        }
    }
}

/// A text argument: a column or a constant.
pub enum Texts<'a> {
    Array(&'a StringViewArray),
    One(Option<&'a str>),
}

impl Texts<'_> {
    /// Returns the text of a row; None is NULL.
    pub fn get(&self, row: usize) -> Option<&str> {
        match self {
            Texts::Array(array) => array.is_valid(row).then(|| array.value(row)),
            Texts::One(text) => *text,
        }
    }
}

/// A boolean argument: a column or a constant; it has no NULL.
pub enum Booleans<'a> {
    Array(&'a BooleanArray),
    One(bool),
}

impl Booleans<'_> {
    /// Returns the value of a row.
    pub fn get(&self, row: usize) -> bool {
        match self {
            Booleans::Array(array) => array.is_valid(row) && array.value(row),
            Booleans::One(value) => *value,
        }
    }
}

/// Returns a text column of one value a row.
pub fn text_column<S: AsRef<str>>(rows: usize, mut value: impl FnMut(usize) -> Option<S>) -> ArrayRef {
    let mut builder = StringViewBuilder::with_capacity(rows);
    for row in 0..rows {
        builder.append_option(value(row));
    }
    Arc::new(builder.finish())
}

/// Returns a primitive column of one value a row.
pub fn column<T: ArrowPrimitiveType>(rows: usize, value: impl FnMut(usize) -> Option<T::Native>) -> ArrayRef {
    let array: PrimitiveArray<T> = (0..rows).map(value).collect();
    Arc::new(array)
}

/// Returns a primitive column of one value a row, or the first error.
pub fn try_column<T: ArrowPrimitiveType>(
    rows: usize,
    value: impl FnMut(usize) -> Result<Option<T::Native>, SqlError>,
) -> Result<ArrayRef, SqlError> {
    let array = (0..rows).map(value).collect::<Result<PrimitiveArray<T>, SqlError>>()?;
    Ok(Arc::new(array))
}

/// Returns a DOUBLE column of one value a row; NaN and infinities become NULL.
pub fn double_column(rows: usize, mut value: impl FnMut(usize) -> Option<f64>) -> ArrayRef {
    column::<Float64Type>(rows, |row| value(row).filter(|v| v.is_finite()))
}

/// Returns a BOOLEAN column of one value a row.
pub fn boolean_column(rows: usize, mut value: impl FnMut(usize) -> bool) -> ArrayRef {
    let array: BooleanArray = (0..rows).map(|row| Some(value(row))).collect();
    Arc::new(array)
}

/// A scalar function of ours as DataFusion sees it.
///
/// Two of them are equal when name, result and volatility are: whatever else shapes a kernel (a compiled pattern, a
/// unit) is in the arguments, which DataFusion compares as well, or in the name.
pub struct Function {
    name: String,
    returns: DataType,
    nullable: bool,
    signature: Signature,
    kernel: SharedKernel,
    /// The Arrow types of the bound arguments.
    takes: Vec<DataType>,
}

impl Function {
    /// Returns a function of `count` arguments.
    pub fn new(name: &str, count: usize, returns: Kind, volatility: Volatility, kernel: SharedKernel) -> Function {
        let signature = if count == 0 { Signature::nullary(volatility) } else { Signature::any(count, volatility) };
        Function {
            name: name.to_owned(),
            returns: returns.arrow(),
            nullable: returns.is_nullable(),
            signature,
            kernel,
            takes: Vec::new(),
        }
    }

    /// Returns the bound call; a call whose arguments are all constants is evaluated at once.
    pub fn call(mut self, args: Vec<Typed>, kind: Kind, position: usize) -> Result<Typed, SqlError> {
        debug_assert_eq!(self.returns, kind.arrow());
        self.takes = args.iter().map(|a| a.kind.arrow()).collect();
        let constants: Option<Vec<ColumnarValue>> =
            args.iter().map(|a| a.as_literal().cloned().map(ColumnarValue::Scalar)).collect();
        if let (Volatility::Immutable, Some(values)) = (self.signature.volatility, constants) {
            let array = (self.kernel)(&Args::new(&values, 1))?;
            let value = ScalarValue::try_from_array(&array, 0)
                .map_err(|e| SqlError::new(position, format!("{}: {e}", self.name)))?;
            return Ok(Typed::literal(value, kind, position));
        }
        let args = args.into_iter().map(|a| a.expr).collect();
        let udf = Arc::new(ScalarUDF::new_from_impl(self));
        Ok(Typed::new(Expr::ScalarFunction(ScalarFunction::new_udf(udf, args)), kind, position))
    }
}

impl Function {
    /// Returns an argument with the type that it was bound with: DataFusion's optimizer asks what a filter says of rows
    /// that are all NULL, in columns of no type.
    fn typed(&self, i: usize, value: ColumnarValue) -> ColumnarValue {
        match (&value, self.takes.get(i)) {
            (ColumnarValue::Array(array), Some(wanted)) if *array.data_type() == DataType::Null => {
                ColumnarValue::Array(arrow::array::new_null_array(wanted, array.len()))
            }
            (ColumnarValue::Scalar(ScalarValue::Null), Some(wanted)) => match ScalarValue::try_from(wanted) {
                Ok(null) => ColumnarValue::Scalar(null),
                Err(_) => value,
            },
            _ => value,
        }
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} -> {}", self.name, self.returns)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.returns == other.returns && self.signature == other.signature
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.returns.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> DfResult<DataType> {
        Ok(self.returns.clone())
    }

    fn is_nullable(&self, _args: &[Expr], _schema: &dyn datafusion::common::ExprSchema) -> bool {
        self.nullable
    }

    fn return_field_from_args(
        &self,
        _args: datafusion::logical_expr::ReturnFieldArgs,
    ) -> DfResult<arrow::datatypes::FieldRef> {
        Ok(Arc::new(arrow::datatypes::Field::new(&self.name, self.returns.clone(), self.nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let constant = self.signature.volatility != Volatility::Volatile
            && args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let values: Vec<ColumnarValue> =
            args.args.into_iter().enumerate().map(|(i, value)| self.typed(i, value)).collect();
        let array = (self.kernel)(&Args::new(&values, rows)).map_err(SqlError::into_datafusion)?;
        debug_assert_eq!(array.len(), rows, "{} answers every row", self.name);
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}
