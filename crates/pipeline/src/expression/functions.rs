//! The functions of expressions over a row.

use sqlparser::ast::{self, DateTimeField, Expr as Sql, Spanned, TrimWhereField, Value};

use super::checker::{Checker, Typed, null, start, text_constant, unnested};
use super::{Constant, Function, Mistake, Node, Part, Side, Unit, ValueType};
use crate::error::nearest;

/// What there is, as messages list it.
const NAMES: [&str; 22] = [
    "abs",
    "btrim",
    "ceil",
    "coalesce",
    "concat",
    "contains",
    "date_part",
    "date_trunc",
    "ends_with",
    "extract",
    "floor",
    "length",
    "lower",
    "ltrim",
    "nullif",
    "round",
    "rtrim",
    "starts_with",
    "substr",
    "substring",
    "trim",
    "upper",
];

type Checked = Result<Typed, Mistake>;

impl Checker<'_> {
    /// Functions, also those with a grammar of their own; `None` if it is none.
    pub(super) fn function_of(&self, sql: &Sql) -> Option<Checked> {
        Some(match sql {
            Sql::Function(function) => self.call(sql, function),
            Sql::Extract { field, expr, .. } => self.date_part(sql, &field.to_string(), expr),
            Sql::Ceil { expr, field: ast::CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                self.rounded(Function::Ceil, expr)
            }
            Sql::Floor { expr, field: ast::CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                self.rounded(Function::Floor, expr)
            }
            Sql::Substring { expr, substring_from, substring_for, .. } => {
                self.substring(sql, expr, substring_from.as_deref(), substring_for.as_deref())
            }
            Sql::Trim { trim_where, trim_what, expr, trim_characters: None } => {
                let side = match trim_where {
                    None | Some(TrimWhereField::Both) => Side::Both,
                    Some(TrimWhereField::Leading) => Side::Leading,
                    Some(TrimWhereField::Trailing) => Side::Trailing,
                };
                self.trim(side, expr, trim_what.as_deref())
            }
            Sql::Trim { trim_where: None, trim_what: None, expr, trim_characters: Some(characters) } => {
                self.trim(Side::Both, expr, characters.first())
            }
            _ => return None,
        })
    }

    fn call(&self, sql: &Sql, function: &ast::Function) -> Checked {
        let name = function.name.to_string().to_lowercase();
        let arguments = self.arguments(sql, function)?;
        match (name.as_str(), arguments.as_slice()) {
            ("abs", [number]) => self.absolute(number),
            ("round", [number]) => self.rounded(Function::Round(0), number),
            ("round", [number, digits]) => {
                let digits = whole(digits).and_then(|digits| u8::try_from(digits).ok()).filter(|digits| *digits <= 15);
                let digits = digits.ok_or_else(|| self.mistake(sql, "round takes 0 to 15 digits, written out"))?;
                self.rounded(Function::Round(digits), number)
            }
            ("lower", [text]) => self.of_text(Function::Lower, text, ValueType::Text),
            ("upper", [text]) => self.of_text(Function::Upper, text, ValueType::Text),
            ("length" | "char_length" | "character_length", [text]) => {
                self.of_text(Function::Length, text, ValueType::Long)
            }
            ("btrim", [text]) => self.trim(Side::Both, text, None),
            ("btrim", [text, characters]) => self.trim(Side::Both, text, Some(characters)),
            ("ltrim", [text]) => self.trim(Side::Leading, text, None),
            ("ltrim", [text, characters]) => self.trim(Side::Leading, text, Some(characters)),
            ("rtrim", [text]) => self.trim(Side::Trailing, text, None),
            ("rtrim", [text, characters]) => self.trim(Side::Trailing, text, Some(characters)),
            ("substr", [text, from]) => self.substring(sql, text, Some(from), None),
            ("substr", [text, from, length]) => self.substring(sql, text, Some(from), Some(length)),
            ("starts_with", [text, other]) => self.of_two_texts(Function::StartsWith, text, other),
            ("ends_with", [text, other]) => self.of_two_texts(Function::EndsWith, text, other),
            ("contains", [text, other]) => self.of_two_texts(Function::Contains, text, other),
            ("date_part", [part, of]) => self.date_part(sql, &self.word(part)?, of),
            ("date_trunc", [unit, of]) => self.date_trunc(sql, &self.word(unit)?, of),
            ("concat", several) if !several.is_empty() => self.concat(several),
            ("coalesce", several) if !several.is_empty() => self.coalesce(sql, several),
            ("nullif", [value, other]) => self.null_if(sql, value, other),
            (known, _) if NAMES.contains(&known) => {
                Err(Mistake::at(start(sql), format!("'{sql}': {known} does not take these arguments")))
            }
            (unknown, _) => {
                let message = format!("there is no function '{unknown}'; there are {}", NAMES.join(", "));
                let nearest = nearest(unknown, NAMES);
                Err(Mistake { nearest, ..Mistake::at(start(sql), message) })
            }
        }
    }

    fn arguments<'f>(&self, sql: &Sql, function: &'f ast::Function) -> Result<Vec<&'f Sql>, Mistake> {
        let plain = function.over.is_none() && function.filter.is_none() && function.within_group.is_empty();
        let list = match &function.args {
            ast::FunctionArguments::List(list) if plain && list.duplicate_treatment.is_none() => list.args.as_slice(),
            ast::FunctionArguments::None if plain => &[],
            _ => return Err(self.mistake(sql, format!("'{sql}' is not a function of one row"))),
        };
        let argument = |argument: &'f ast::FunctionArg| match argument {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expression)) => Ok(expression),
            other => Err(Mistake::at(other.span().start, format!("the argument '{other}' is not supported"))),
        };
        list.iter().map(argument).collect()
    }

    fn word(&self, sql: &Sql) -> Result<String, Mistake> {
        let word = text_constant(sql).map(str::to_owned);
        word.ok_or_else(|| self.mistake(sql, format!("'{sql}': expected a word in single quotes, such as 'month'")))
    }

    fn of_text(&self, function: Function, text: &Sql, of: ValueType) -> Checked {
        Ok(Typed::call(function, vec![self.expect(text, ValueType::Text)?.node], of))
    }

    fn of_two_texts(&self, function: Function, text: &Sql, other: &Sql) -> Checked {
        let (text, other) = (self.expect(text, ValueType::Text)?, self.expect(other, ValueType::Text)?);
        Ok(Typed::call(function, vec![text.node, other.node], ValueType::Bool))
    }

    fn trim(&self, side: Side, text: &Sql, characters: Option<&Sql>) -> Checked {
        let characters = match characters {
            None => " ".to_owned(),
            Some(sql) => match text_constant(sql) {
                Some(characters) => characters.to_owned(),
                None => return Err(self.mistake(sql, format!("'{sql}': expected characters in single quotes"))),
            },
        };
        self.of_text(Function::Trim(side, characters), text, ValueType::Text)
    }

    fn substring(&self, sql: &Sql, text: &Sql, from: Option<&Sql>, length: Option<&Sql>) -> Checked {
        let given = |number: Option<&Sql>| match number {
            None => Ok(None),
            Some(number) => whole(number).map(Some).ok_or_else(|| {
                self.mistake(number, format!("'{number}': places and lengths of a substring are whole numbers"))
            }),
        };
        let (from, length) = (given(from)?.unwrap_or(1), given(length)?);
        if length.is_some_and(|length| length < 0) {
            return Err(self.mistake(sql, format!("'{sql}': the length of a substring cannot be negative")));
        }
        // Places before the first character count, although nothing is there.
        let end = length.map(|length| u64::try_from(from.saturating_add(length) - 1).unwrap_or(0));
        let skip = u64::try_from(from.max(1) - 1).unwrap_or(0);
        let take = end.map(|end| end.saturating_sub(skip));
        self.of_text(Function::Substring(skip, take), text, ValueType::Text)
    }

    fn absolute(&self, number: &Sql) -> Checked {
        let typed = self.number(number)?;
        let zero = || Typed::new(Node::Constant(Constant::Long(0)), ValueType::Long).cast(typed.of).node;
        let below = Node::Call(Function::Less, vec![typed.node.clone(), zero()]);
        let reversed = Node::Call(Function::Subtract, vec![zero(), typed.node.clone()]);
        Ok(Typed::new(Node::Case(vec![(below, reversed)], Box::new(typed.node)), typed.of))
    }

    fn rounded(&self, function: Function, number: &Sql) -> Checked {
        let number = self.number(number)?.cast(ValueType::Double);
        Ok(Typed::call(function, vec![number.node], ValueType::Double))
    }

    fn date_part(&self, sql: &Sql, part: &str, of: &Sql) -> Checked {
        let known = match part.to_lowercase().as_str() {
            "year" => Part::Year,
            "quarter" => Part::Quarter,
            "month" => Part::Month,
            "week" => Part::Week,
            "day" => Part::Day,
            "dow" => Part::DayOfWeek,
            "doy" => Part::DayOfYear,
            "hour" => Part::Hour,
            "minute" => Part::Minute,
            _ => {
                let parts = "year, quarter, month, week, day, dow, doy, hour and minute";
                return Err(self.mistake(sql, format!("'{part}' is no part of a time: there are {parts}")));
            }
        };
        let moment = self.moment_of(of)?;
        let moment =
            if matches!(known, Part::Hour | Part::Minute) { moment.cast(ValueType::Timestamp) } else { moment };
        Ok(Typed::call(Function::DatePart(known), vec![moment.node], ValueType::Long))
    }

    fn date_trunc(&self, sql: &Sql, unit: &str, of: &Sql) -> Checked {
        let unit = match unit.to_lowercase().as_str() {
            "year" => Unit::Year,
            "quarter" => Unit::Quarter,
            "month" => Unit::Month,
            "week" => Unit::Week,
            "day" => Unit::Day,
            "hour" => Unit::Hour,
            "minute" => Unit::Minute,
            "second" => Unit::Second,
            _ => {
                let units = "year, quarter, month, week, day, hour, minute and second";
                return Err(self.mistake(sql, format!("'{unit}' is nothing to cut a time to: there are {units}")));
            }
        };
        let moment = self.moment_of(of)?.cast(ValueType::Timestamp);
        Ok(Typed::call(Function::DateTrunc(unit), vec![moment.node], ValueType::Timestamp))
    }

    fn moment_of(&self, sql: &Sql) -> Checked {
        let typed = self.check(sql)?;
        match typed.of {
            ValueType::Date | ValueType::Timestamp => Ok(typed),
            ValueType::Null => Ok(typed.cast(ValueType::Timestamp)),
            other => {
                Err(self.mistake(sql, format!("'{sql}' is {}, but a date or time is expected here", other.name())))
            }
        }
    }

    /// Unlike `||`, a NULL is left out.
    fn concat(&self, several: &[&Sql]) -> Checked {
        let empty = || Node::Constant(Constant::Text(String::new()));
        let mut texts = Vec::with_capacity(several.len());
        for sql in several {
            texts.push(Node::Call(Function::Coalesce, vec![self.as_text(sql)?.node, empty()]));
        }
        Ok(Typed::call(Function::Join, texts, ValueType::Text))
    }

    fn coalesce(&self, sql: &Sql, several: &[&Sql]) -> Checked {
        let mut values = Vec::with_capacity(several.len());
        for value in several {
            values.push((*value, self.check(value)?));
        }
        let common = self.common(sql, "mixes", values.iter().map(|(sql, typed)| (*sql, typed)))?;
        let mut nodes = Vec::with_capacity(values.len());
        for (sql, typed) in values {
            nodes.push(self.convert(sql, typed, common)?.node);
        }
        Ok(Typed::call(Function::Coalesce, nodes, common))
    }

    fn null_if(&self, sql: &Sql, value: &Sql, other: &Sql) -> Checked {
        let (typed, with) = (self.check(value)?, self.check(other)?);
        let (typed, with) = self.alike(sql, "compares", (value, typed), (other, with))?;
        let nothing = null(typed.of);
        let same = Node::Call(Function::Equal, vec![typed.node.clone(), with.node]);
        Ok(Typed::new(Node::Case(vec![(same, nothing)], Box::new(typed.node)), typed.of))
    }
}

/// A whole number that is written out, with or without a minus.
fn whole(sql: &Sql) -> Option<i64> {
    match unnested(sql) {
        Sql::Value(ast::ValueWithSpan { value: Value::Number(number, _), .. }) => number.parse().ok(),
        Sql::UnaryOp { op: ast::UnaryOperator::Minus, expr } => whole(expr)?.checked_neg(),
        _ => None,
    }
}
