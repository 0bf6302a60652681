//! A report as Parquet: typed columns, dates as timestamps in UTC, what is unknown as null.
//!
//! Owner: the thread of the job. Bounded: [`GROUP_ROWS`] rows are in memory until their group is written; a footer has some
//! hundred bytes for each column of each group. Built with the feature `parquet` only.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

use super::Order;
use crate::graph::devices::row::NEVER_TICKS;
use crate::graph::exports::reports::{ReportRow, localized};
use crate::odata::{Kind, Row, TICKS_PER_SECOND, Value};

/// Rows of a row group.
const GROUP_ROWS: usize = 32_768;

/// The file while it is written.
pub(super) struct Table<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    columns: Vec<Column>,
    rows: usize,
}

/// The values of a column in the current row group, and which rows have one.
struct Column {
    values: Values,
    levels: Vec<i16>,
}

enum Values {
    Text(Vec<ByteArray>),
    Boolean(Vec<bool>),
    Int(Vec<i64>),
}

impl Column {
    fn new(values: Values) -> Self {
        Self {
            values,
            levels: Vec::new(),
        }
    }

    /// Adds the value of a row; one of another kind is null.
    fn push(&mut self, value: Value<'_>) {
        let is_there = match (&mut self.values, value) {
            (Values::Text(values), Value::Text(text)) => {
                values.push(text.as_bytes().to_vec().into());
                true
            }
            (Values::Text(values), Value::Guid(id)) => {
                let id = muster_wire::DeviceId::from_bytes(id).to_string();
                values.push(id.into_bytes().into());
                true
            }
            (Values::Boolean(values), Value::Boolean(value)) => {
                values.push(value);
                true
            }
            (Values::Int(values), Value::Int(value)) => {
                values.push(value);
                true
            }
            (Values::Int(values), Value::Date(ticks)) if ticks != NEVER_TICKS => {
                values.push(ticks / (TICKS_PER_SECOND / 1_000));
                true
            }
            _ => false,
        };
        self.levels.push(is_there.into());
    }

    /// Writes the values and forgets them.
    fn write(&mut self, mut to: SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let levels = Some(&self.levels[..]);
        match &mut self.values {
            Values::Text(values) => {
                to.typed::<ByteArrayType>()
                    .write_batch(values, levels, None)?;
                values.clear();
            }
            Values::Boolean(values) => {
                to.typed::<BoolType>().write_batch(values, levels, None)?;
                values.clear();
            }
            Values::Int(values) => {
                to.typed::<Int64Type>().write_batch(values, levels, None)?;
                values.clear();
            }
        }
        self.levels.clear();
        to.close()
    }
}

impl<W: Write + Send> Table<W> {
    /// An empty file with the columns of an export.
    pub(super) fn begin(order: &Order, to: W) -> Result<Self, ParquetError> {
        let (mut schema, mut columns) = ("message devices {".to_owned(), Vec::new());
        for (name, kind) in order.columns.headings() {
            let (kind, annotation, values) = match kind {
                Kind::Boolean => ("boolean", "", Values::Boolean(Vec::new())),
                Kind::Int => ("int64", "", Values::Int(Vec::new())),
                Kind::Date => (
                    "int64",
                    " (TIMESTAMP(MILLIS,true))",
                    Values::Int(Vec::new()),
                ),
                _ => ("binary", " (STRING)", Values::Text(Vec::new())),
            };
            schema += &format!(" optional {kind} {name}{annotation};");
            columns.push(Column::new(values));
        }
        schema += " }";
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
        let schema = Arc::new(parse_message_type(&schema)?);
        Ok(Self {
            writer: SerializedFileWriter::new(to, schema, Arc::new(properties.build()))?,
            columns,
            rows: 0,
        })
    }

    /// Adds a row.
    pub(super) fn push(&mut self, order: &Order, row: &ReportRow<'_>) -> Result<(), ParquetError> {
        let mut columns = self.columns.iter_mut();
        let mut add = |value| {
            columns
                .next()
                .into_iter()
                .for_each(|column| column.push(value))
        };
        for &column in &order.columns.chosen {
            let kind = order.columns.report.schema.properties[column].kind;
            match (row.value(column), kind) {
                (Value::Member(index), Kind::Enum(members)) => {
                    if order.columns.adds_column(kind) {
                        add(members.number(index).map_or(Value::Null, Value::Int));
                    }
                    add(Value::Text(localized(members.names()[usize::from(index)])));
                }
                (value, _) => {
                    if order.columns.adds_column(kind) {
                        add(Value::Null);
                    }
                    add(value);
                }
            }
        }
        self.rows += 1;
        if self.rows == GROUP_ROWS {
            self.end_group()?;
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            if let Some(to) = group.next_column()? {
                column.write(to)?;
            }
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }

    /// Writes the rest and the footer.
    pub(super) fn end(mut self) -> Result<(), ParquetError> {
        if self.rows > 0 {
            self.end_group()?;
        }
        self.writer.close()?;
        Ok(())
    }
}
