//! What the parser read becomes a tree whose types fit together.

use chrono::{NaiveDate, NaiveDateTime};
use sqlparser::ast::{self, BinaryOperator, CastKind, Expr as Sql, Spanned, UnaryOperator, Value};
use sqlparser::tokenizer::Location;

use super::{Constant, Function, Interval, Mistake, Node, ValueType};
use crate::error::nearest;
use crate::schema::{Column, ColumnType};

/// What there is beside functions.
const OPERATORS: &str = "comparisons, AND, OR, NOT, IN, BETWEEN, LIKE, ILIKE, CASE, IS NULL, IS TRUE, IS FALSE, \
                         IS UNKNOWN, IS DISTINCT FROM (all with NOT), + - * / ||, CAST, TRY_CAST, EXTRACT, and \
                         constants such as 1, 'text', DATE '2025-06-30', TIMESTAMP '2025-06-30 12:00:00' and \
                         INTERVAL '30 days'";

/// A part of an expression with its type.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    pub node: Node,
    pub of: ValueType,
}

impl Typed {
    pub(super) fn new(node: Node, of: ValueType) -> Self {
        Self { node, of }
    }

    pub(super) fn call(function: Function, arguments: Vec<Node>, of: ValueType) -> Self {
        Self::new(Node::Call(function, arguments), of)
    }

    /// The value as another type.
    pub(super) fn cast(self, to: ValueType) -> Self {
        if self.of == to { self } else { Self::new(Node::Cast(Box::new(self.node), self.of, to), to) }
    }
}

/// Reads expressions over rows with these columns.
pub(super) struct Checker<'a> {
    pub columns: &'a [Column],
}

type Checked = Result<Typed, Mistake>;

impl Checker<'_> {
    /// An expression that is true, false or NULL.
    pub(super) fn condition(&self, sql: &Sql) -> Result<Node, Mistake> {
        self.boolean(sql).map(|condition| condition.node)
    }

    pub(super) fn mistake(&self, sql: &Sql, message: impl Into<String>) -> Mistake {
        Mistake::at(start(sql), message)
    }

    pub(super) fn check(&self, sql: &Sql) -> Checked {
        match sql {
            Sql::Nested(inner) => self.check(inner),
            Sql::Identifier(name) => self.column(sql, &name.value),
            Sql::Value(value) => self.constant(sql, &value.value),
            Sql::TypedString(text) => self.typed_text(sql, text),
            Sql::UnaryOp { op, expr } => self.unary(sql, *op, expr),
            Sql::BinaryOp { left, op, right } => self.binary(sql, left, op, right),
            Sql::IsNull(inner) => Ok(is_null(self.check(inner)?)),
            Sql::IsNotNull(inner) => Ok(not(is_null(self.check(inner)?))),
            Sql::IsUnknown(inner) => Ok(is_null(self.boolean(inner)?)),
            Sql::IsNotUnknown(inner) => Ok(not(is_null(self.boolean(inner)?))),
            Sql::IsTrue(inner) => Ok(or_else(self.boolean(inner)?, false)),
            Sql::IsNotTrue(inner) => Ok(not(or_else(self.boolean(inner)?, false))),
            Sql::IsFalse(inner) => Ok(not(or_else(self.boolean(inner)?, true))),
            Sql::IsNotFalse(inner) => Ok(or_else(self.boolean(inner)?, true)),
            Sql::IsDistinctFrom(left, right) => Ok(not(self.compare(sql, Function::Same, left, right)?)),
            Sql::IsNotDistinctFrom(left, right) => self.compare(sql, Function::Same, left, right),
            Sql::InList { expr, list, negated } => {
                let mut any = Typed::new(Node::Constant(Constant::Bool(false)), ValueType::Bool);
                for item in list {
                    any = both(Function::Or, any, self.compare(item, Function::Equal, expr, item)?);
                }
                Ok(negate(any, *negated))
            }
            Sql::Between { expr, negated, low, high } => {
                let above = self.compare(low, Function::LessOrEqual, low, expr)?;
                let below = self.compare(high, Function::LessOrEqual, expr, high)?;
                Ok(negate(both(Function::And, above, below), *negated))
            }
            Sql::Like { negated, any: false, expr, pattern, escape_char } => {
                let found = self.like(expr, pattern, escape_char.as_ref(), "(?s)")?;
                Ok(negate(found, *negated))
            }
            Sql::ILike { negated, any: false, expr, pattern, escape_char } => {
                let found = self.like(expr, pattern, escape_char.as_ref(), "(?is)")?;
                Ok(negate(found, *negated))
            }
            Sql::Case { operand, conditions, else_result, .. } => {
                self.case(sql, operand.as_deref(), conditions, else_result.as_deref())
            }
            Sql::Cast { kind, expr, data_type, array: false, format: None } => self.cast(sql, kind, expr, data_type),
            other => self.function_of(other).unwrap_or_else(|| {
                Err(self
                    .mistake(sql, format!("'{sql}' is not part of an expression over a row; there are {OPERATORS}")))
            }),
        }
    }

    /// A value of exactly that type, or NULL.
    pub(super) fn expect(&self, sql: &Sql, of: ValueType) -> Checked {
        let typed = self.check(sql)?;
        if typed.of == of || typed.of == ValueType::Null {
            return Ok(typed.cast(of));
        }
        let (found, expected) = (typed.of.name(), of.name());
        Err(self.mistake(sql, format!("'{sql}' is {found}, but {expected} is expected here")))
    }

    fn boolean(&self, sql: &Sql) -> Checked {
        let typed = self.check(sql)?;
        match typed.of {
            ValueType::Bool | ValueType::Null => Ok(typed.cast(ValueType::Bool)),
            other => {
                let other = other.name();
                Err(self.mistake(sql, format!("'{sql}' is {other}, not a condition that is true or false")))
            }
        }
    }

    /// A number as it is, NULL as a long.
    pub(super) fn number(&self, sql: &Sql) -> Checked {
        self.as_number(sql, self.check(sql)?)
    }

    fn as_number(&self, sql: &Sql, typed: Typed) -> Checked {
        match typed.of {
            ValueType::Long | ValueType::Double => Ok(typed),
            ValueType::Null => Ok(typed.cast(ValueType::Long)),
            other => Err(self.mistake(sql, format!("'{sql}' is {}, but a number is expected here", other.name()))),
        }
    }

    fn column(&self, sql: &Sql, name: &str) -> Checked {
        let Some(column) = self.columns.iter().find(|column| column.name == name) else {
            let nearest = nearest(name, self.columns.iter().map(|column| column.name.as_str()));
            return Err(Mistake { nearest, ..self.mistake(sql, format!("there is no column '{name}'")) });
        };
        let of = ValueType::of(column.data_type);
        let node = Node::Column(name.to_owned(), of);
        // Every column is a plain number or wall time from here on.
        let converted = matches!(column.data_type, ColumnType::Decimal { .. } | ColumnType::TimestampUtc);
        Ok(Typed::new(if converted { Node::Cast(Box::new(node), of, of) } else { node }, of))
    }

    fn constant(&self, sql: &Sql, value: &Value) -> Checked {
        let (constant, of) = match value {
            Value::Number(number, _) => match (number.parse(), number.parse()) {
                (Ok(whole), _) => (Constant::Long(whole), ValueType::Long),
                (_, Ok(double)) => (Constant::Double(double), ValueType::Double),
                _ => return Err(self.mistake(sql, format!("{number} is not a number"))),
            },
            Value::SingleQuotedString(text) => (Constant::Text(text.clone()), ValueType::Text),
            Value::Boolean(truth) => (Constant::Bool(*truth), ValueType::Bool),
            Value::Null => (Constant::Null, ValueType::Null),
            Value::Placeholder(name) => {
                let message = format!("{name}: a rule knows nothing but its row; a data test may use $as_of");
                return Err(self.mistake(sql, message));
            }
            other => return Err(self.mistake(sql, format!("{other} is not a supported constant"))),
        };
        Ok(Typed::new(Node::Constant(constant), of))
    }

    fn typed_text(&self, sql: &Sql, typed: &ast::TypedString) -> Checked {
        let of = match typed.data_type {
            ast::DataType::Date => ValueType::Date,
            ast::DataType::Timestamp(None, ast::TimezoneInfo::None) => ValueType::Timestamp,
            _ => return Err(self.mistake(sql, format!("{typed}: such constants are DATE '...' and TIMESTAMP '...'"))),
        };
        match &typed.value.value {
            Value::SingleQuotedString(text) => self.moment(sql, text, of),
            _ => Err(self.mistake(sql, format!("{typed} is not a supported constant"))),
        }
    }

    /// A text that stands for a date or timestamp.
    fn moment(&self, sql: &Sql, text: &str, of: ValueType) -> Checked {
        let date = || text.parse::<NaiveDate>().ok();
        let formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
        let constant = if of == ValueType::Date {
            date().map(Constant::Date)
        } else {
            let moment = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
            moment.or_else(|| date()?.and_hms_opt(0, 0, 0)).map(Constant::Timestamp)
        };
        constant.map(|constant| Typed::new(Node::Constant(constant), of)).ok_or_else(|| {
            let example = if of == ValueType::Date { "2025-06-30" } else { "2025-06-30 12:00:00" };
            self.mistake(sql, format!("'{text}' is no {}, which is written like '{example}'", of.name()))
        })
    }

    fn unary(&self, sql: &Sql, op: UnaryOperator, inner: &Sql) -> Checked {
        match op {
            UnaryOperator::Not => Ok(not(self.boolean(inner)?)),
            UnaryOperator::Plus => self.number(inner),
            UnaryOperator::Minus => {
                let number = self.number(inner)?;
                let zero = Typed::new(Node::Constant(Constant::Long(0)), ValueType::Long).cast(number.of);
                Ok(Typed::call(Function::Subtract, vec![zero.node, number.node], number.of))
            }
            other => Err(self.mistake(sql, format!("the operator {other} is not supported; there are {OPERATORS}"))),
        }
    }

    fn binary(&self, sql: &Sql, left: &Sql, op: &BinaryOperator, right: &Sql) -> Checked {
        let compare = |function, one, other| self.compare(sql, function, one, other);
        match op {
            BinaryOperator::And => Ok(both(Function::And, self.boolean(left)?, self.boolean(right)?)),
            BinaryOperator::Or => Ok(both(Function::Or, self.boolean(left)?, self.boolean(right)?)),
            BinaryOperator::Eq => compare(Function::Equal, left, right),
            BinaryOperator::NotEq => Ok(not(compare(Function::Equal, left, right)?)),
            BinaryOperator::Lt => compare(Function::Less, left, right),
            BinaryOperator::LtEq => compare(Function::LessOrEqual, left, right),
            BinaryOperator::Gt => compare(Function::Less, right, left),
            BinaryOperator::GtEq => compare(Function::LessOrEqual, right, left),
            BinaryOperator::StringConcat => {
                let (left, right) = (self.as_text(left)?, self.as_text(right)?);
                Ok(Typed::call(Function::Join, vec![left.node, right.node], ValueType::Text))
            }
            BinaryOperator::Plus => self.arithmetic(Function::Add, left, right),
            BinaryOperator::Minus => self.arithmetic(Function::Subtract, left, right),
            BinaryOperator::Multiply => self.arithmetic(Function::Multiply, left, right),
            BinaryOperator::Divide => self.quotient(sql, left, right),
            other => Err(self.mistake(sql, format!("the operator {other} is not supported; there are {OPERATORS}"))),
        }
    }

    fn arithmetic(&self, function: Function, left: &Sql, right: &Sql) -> Checked {
        match (&function, unnested(left), unnested(right)) {
            (Function::Add, Sql::Interval(interval), _) => self.shift(left, interval, right, false),
            (Function::Add, _, Sql::Interval(interval)) => self.shift(right, interval, left, false),
            (Function::Subtract, _, Sql::Interval(interval)) => self.shift(right, interval, left, true),
            _ => {
                let (left, right, of) = self.numbers(left, right)?;
                Ok(Typed::call(function, vec![left, right], of))
            }
        }
    }

    fn numbers(&self, left: &Sql, right: &Sql) -> Result<(Node, Node, ValueType), Mistake> {
        let (left, right) = (self.operand(left)?, self.operand(right)?);
        let of = if left.of == right.of { left.of } else { ValueType::Double };
        Ok((left.cast(of).node, right.cast(of).node, of))
    }

    fn operand(&self, sql: &Sql) -> Checked {
        let typed = self.check(sql)?;
        if matches!(typed.of, ValueType::Date | ValueType::Timestamp) {
            let message = format!(
                "'{sql}' is a date or time: only an INTERVAL can be added or subtracted; instead of a difference \
                 compare with a sum, as in ended <= began + INTERVAL '30 days'"
            );
            return Err(self.mistake(sql, message));
        }
        self.as_number(sql, typed)
    }

    fn quotient(&self, sql: &Sql, left: &Sql, right: &Sql) -> Checked {
        let (left, right, of) = self.numbers(left, right)?;
        if of == ValueType::Double {
            return Ok(Typed::call(Function::Divide, vec![left, right], of));
        }
        let message = format!("'{sql}' divides whole numbers: write CAST(... AS DOUBLE) around one of them");
        Err(self.mistake(sql, message))
    }

    fn shift(&self, sql: &Sql, interval: &ast::Interval, moved: &Sql, back: bool) -> Checked {
        let Some(span) = Interval::of(interval) else {
            let message =
                format!("{interval} cannot be read: write whole numbers with units, as in INTERVAL '30 days'");
            return Err(self.mistake(sql, message));
        };
        let typed = self.check(moved)?;
        let span = if back { span.reversed() } else { span };
        match typed.of {
            ValueType::Date if span.microseconds != 0 => {
                let message = format!("'{moved}' is a date, which has no hours: write CAST({moved} AS TIMESTAMP)");
                Err(self.mistake(moved, message))
            }
            ValueType::Date | ValueType::Timestamp => {
                Ok(Typed::call(Function::Shift(span), vec![typed.node], typed.of))
            }
            other => Err(self.mistake(moved, format!("'{moved}' is {}, not a date or time", other.name()))),
        }
    }

    /// Two values of one type, compared.
    pub(super) fn compare(&self, sql: &Sql, function: Function, left: &Sql, right: &Sql) -> Checked {
        let (one, other) = (self.check(left)?, self.check(right)?);
        let (one, other) = self.alike(sql, "compares", (left, one), (right, other))?;
        Ok(Typed::call(function, vec![one.node, other.node], ValueType::Bool))
    }

    /// Two values as the one type they share.
    pub(super) fn alike(
        &self,
        sql: &Sql,
        verb: &str,
        (left, one): (&Sql, Typed),
        (right, other): (&Sql, Typed),
    ) -> Result<(Typed, Typed), Mistake> {
        let common = self.common(sql, verb, [(left, &one), (right, &other)].into_iter())?;
        Ok((self.convert(left, one, common)?, self.convert(right, other, common)?))
    }

    /// The type that values have in common; a text that is written out may be a date or time.
    pub(super) fn common<'t>(
        &self,
        sql: &Sql,
        verb: &str,
        values: impl Iterator<Item = (&'t Sql, &'t Typed)>,
    ) -> Result<ValueType, Mistake> {
        use ValueType::{Date, Double, Long, Null, Text, Timestamp};
        let mut common = Null;
        let mut texts = true;
        for (value, typed) in values {
            let constant = is_text_constant(value);
            common = match (common, typed.of) {
                (a, b) if a == b => a,
                (Null, other) | (other, Null) => other,
                (Long, Double) | (Double, Long) => Double,
                (Date, Timestamp) | (Timestamp, Date) => Timestamp,
                (moment @ (Date | Timestamp), Text) if constant => moment,
                (Text, moment @ (Date | Timestamp)) if texts => moment,
                (a, b) => {
                    let message = format!("'{sql}' {verb} {} with {}: write both as one type", a.name(), b.name());
                    return Err(self.mistake(sql, message));
                }
            };
            texts &= constant || typed.of == Null;
        }
        Ok(common)
    }

    /// A value as the type that it has in common with others.
    pub(super) fn convert(&self, sql: &Sql, typed: Typed, to: ValueType) -> Checked {
        match (&typed.node, to) {
            (Node::Constant(Constant::Text(text)), ValueType::Date | ValueType::Timestamp) => {
                self.moment(sql, text, to)
            }
            _ => Ok(typed.cast(to)),
        }
    }

    fn case(&self, sql: &Sql, operand: Option<&Sql>, conditions: &[ast::CaseWhen], otherwise: Option<&Sql>) -> Checked {
        let mut tests = Vec::with_capacity(conditions.len());
        let mut results: Vec<(&Sql, Typed)> = Vec::with_capacity(conditions.len() + 1);
        for branch in conditions {
            tests.push(match operand {
                Some(operand) => self.compare(&branch.condition, Function::Equal, operand, &branch.condition)?,
                None => self.boolean(&branch.condition)?,
            });
            results.push((&branch.result, self.check(&branch.result)?));
        }
        if let Some(otherwise) = otherwise {
            results.push((otherwise, self.check(otherwise)?));
        }
        let common = self.common(sql, "mixes", results.iter().map(|(sql, typed)| (*sql, typed)))?;
        let mut nodes = Vec::with_capacity(results.len());
        for (sql, typed) in results {
            nodes.push(self.convert(sql, typed, common)?.node);
        }
        let last = if otherwise.is_some() { nodes.pop() } else { None };
        let last = last.unwrap_or_else(|| null(common));
        let branches = tests.into_iter().map(|test| test.node).zip(nodes).collect();
        Ok(Typed::new(Node::Case(branches, Box::new(last)), common))
    }

    fn cast(&self, sql: &Sql, kind: &CastKind, inner: &Sql, to: &ast::DataType) -> Checked {
        use ValueType::{Bool, Date, Double, Long, Null, Text, Timestamp};
        let typed = self.check(inner)?;
        let tries = matches!(kind, CastKind::TryCast | CastKind::SafeCast);
        let to = match to {
            ast::DataType::BigInt(None) | ast::DataType::Int(None) | ast::DataType::Integer(None) => Long,
            ast::DataType::Double(_) | ast::DataType::DoublePrecision | ast::DataType::Float(_) => Double,
            ast::DataType::Text | ast::DataType::Varchar(None) | ast::DataType::String(None) => Text,
            ast::DataType::Boolean | ast::DataType::Bool => Bool,
            ast::DataType::Date => Date,
            ast::DataType::Timestamp(None, ast::TimezoneInfo::None) => Timestamp,
            other => {
                let types = "BIGINT, DOUBLE, TEXT, BOOLEAN, DATE and TIMESTAMP";
                return Err(self.mistake(sql, format!("{other} is not a type to cast to: there are {types}")));
            }
        };
        match (typed.of, to) {
            (from, to) if from == to => Ok(typed),
            (Null, _)
            | (Long, Double | Text | Bool)
            | (Double, Long)
            | (Bool, Long | Text)
            | (Date, Timestamp | Text)
            | (Timestamp, Date) => Ok(typed.cast(to)),
            (Text, Long | Double | Date) if tries => Ok(typed.cast(to)),
            (Text, Long | Double | Date) => {
                let message = format!("'{sql}' would fail where the text is none: write TRY_CAST, which is NULL there");
                Err(self.mistake(sql, message))
            }
            (Text, Timestamp | Bool) => {
                let message = format!("'{sql}': texts become {} in the column's own type and formats", to.name());
                Err(self.mistake(sql, message))
            }
            (from, to) => Err(self.mistake(sql, format!("'{sql}': {} cannot be cast to {}", from.name(), to.name()))),
        }
    }

    /// A value where texts are put together.
    pub(super) fn as_text(&self, sql: &Sql) -> Checked {
        let typed = self.check(sql)?;
        match typed.of {
            ValueType::Double | ValueType::Timestamp => {
                let message = format!("'{sql}' is {}, which is not put into texts", typed.of.name());
                Err(self.mistake(sql, message))
            }
            _ => Ok(typed.cast(ValueType::Text)),
        }
    }

    fn like(&self, text: &Sql, pattern: &Sql, escape: Option<&ast::ValueWithSpan>, flags: &str) -> Checked {
        let text = self.expect(text, ValueType::Text)?;
        let Some(wanted) = text_constant(pattern) else {
            return Err(self.mistake(pattern, format!("'{pattern}': a pattern has to be a text in single quotes")));
        };
        if let Some(escape) = escape.filter(|escape| escape.value != Value::SingleQuotedString("\\".to_owned())) {
            return Err(Mistake::at(escape.span.start, "the character that escapes % and _ is \\".to_owned()));
        }
        let mut regex = format!("{flags}^");
        let mut letters = wanted.chars();
        while let Some(letter) = letters.next() {
            let literal = match letter {
                '%' => {
                    regex.push_str(".*");
                    continue;
                }
                '_' => {
                    regex.push('.');
                    continue;
                }
                '\\' => letters.next().unwrap_or('\\'),
                other => other,
            };
            if literal.is_ascii_punctuation() {
                regex.push('\\');
            }
            regex.push(literal);
        }
        regex.push('$');
        Ok(Typed::call(Function::Matches(regex), vec![text.node], ValueType::Bool))
    }
}

pub(super) fn start(sql: &Sql) -> Location {
    match sql {
        // A function's span begins with its arguments.
        Sql::Function(function) => function.name.span().start,
        other => other.span().start,
    }
}

/// The text, if it is one that is written out.
pub(super) fn text_constant(sql: &Sql) -> Option<&str> {
    match unnested(sql) {
        Sql::Value(ast::ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => Some(text),
        _ => None,
    }
}

fn is_text_constant(sql: &Sql) -> bool {
    text_constant(sql).is_some()
}

pub(super) fn unnested(sql: &Sql) -> &Sql {
    match sql {
        Sql::Nested(inner) => unnested(inner),
        other => other,
    }
}

/// NULL of a type.
pub(super) fn null(of: ValueType) -> Node {
    Node::Cast(Box::new(Node::Constant(Constant::Null)), ValueType::Null, of)
}

fn not(of: Typed) -> Typed {
    Typed::call(Function::Not, vec![of.node], ValueType::Bool)
}

fn negate(of: Typed, negated: bool) -> Typed {
    if negated { not(of) } else { of }
}

fn is_null(of: Typed) -> Typed {
    Typed::call(Function::IsNull, vec![of.node], ValueType::Bool)
}

fn or_else(of: Typed, otherwise: bool) -> Typed {
    let otherwise = Node::Constant(Constant::Bool(otherwise));
    Typed::call(Function::Coalesce, vec![of.node, otherwise], ValueType::Bool)
}

fn both(function: Function, one: Typed, other: Typed) -> Typed {
    Typed::call(function, vec![one.node, other.node], ValueType::Bool)
}
