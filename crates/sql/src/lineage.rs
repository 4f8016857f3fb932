//! Which columns of which tables the columns of a query are computed from.
//!
//! Only what a value is computed from counts, `CASE` conditions among it; what merely decides whether there is a row
//! (`WHERE`, join conditions, `GROUP BY` keys that are not returned) does not. A plan that this cannot follow to the end
//! has no lineage at all, rather than a wrong one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Distinct, Expr, Join, JoinType, LogicalPlan};
use medallion_pipeline::TableName;

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceColumn {
    /// The table.
    pub table: TableName,
    /// The column.
    pub column: String,
}

/// Each column with those it is computed from; constants with none.
pub type ColumnLineage = BTreeMap<String, BTreeSet<SourceColumn>>;

type Sources = Vec<BTreeSet<SourceColumn>>;

/// The lineage of a query's columns; `None` where it cannot be told.
pub(crate) fn of(plan: &LogicalPlan) -> Option<ColumnLineage> {
    let names = plan.schema().fields().iter().map(|field| field.name().clone());
    Some(names.zip(sources(plan)?).collect())
}

/// What each column of a plan's result is computed from, in order.
fn sources(plan: &LogicalPlan) -> Option<Sources> {
    let found = match plan {
        LogicalPlan::TableScan(scan) => {
            let table: TableName = scan.table_name.to_string().parse().ok()?;
            let columns = scan.projected_schema.fields().iter();
            let source = |name: &String| SourceColumn { table: table.clone(), column: name.clone() };
            columns.map(|field| BTreeSet::from([source(field.name())])).collect()
        }
        LogicalPlan::Projection(projection) => {
            of_expressions(&projection.expr, &projection.input, &sources(&projection.input)?)?
        }
        LogicalPlan::Filter(filter) => sources(&filter.input)?,
        LogicalPlan::Sort(sort) => sources(&sort.input)?,
        LogicalPlan::Limit(limit) => sources(&limit.input)?,
        LogicalPlan::SubqueryAlias(alias) => sources(&alias.input)?,
        LogicalPlan::Subquery(subquery) => sources(&subquery.subquery)?,
        LogicalPlan::Repartition(repartition) => sources(&repartition.input)?,
        LogicalPlan::Distinct(Distinct::All(input)) => sources(input)?,
        LogicalPlan::Distinct(Distinct::On(distinct)) => {
            of_expressions(&distinct.select_expr, &distinct.input, &sources(&distinct.input)?)?
        }
        LogicalPlan::Aggregate(aggregate) => {
            let (input, expressions) = (sources(&aggregate.input)?, [&aggregate.group_expr, &aggregate.aggr_expr]);
            let found = expressions.map(|expressions| of_expressions(expressions, &aggregate.input, &input));
            found.into_iter().collect::<Option<Vec<_>>>()?.concat()
        }
        LogicalPlan::Window(window) => {
            let mut found = sources(&window.input)?;
            let added = of_expressions(&window.window_expr, &window.input, &found)?;
            found.extend(added);
            found
        }
        LogicalPlan::Join(join) => of_join(join)?,
        LogicalPlan::Union(union) => of_union(&union.inputs)?,
        LogicalPlan::Unnest(unnest) => {
            let input = sources(&unnest.input)?;
            unnest.dependency_indices.iter().map(|index| input.get(*index).cloned()).collect::<Option<_>>()?
        }
        LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => {
            vec![BTreeSet::new(); plan.schema().fields().len()]
        }
        _ => return None,
    };
    (found.len() == plan.schema().fields().len()).then_some(found)
}

fn of_join(join: &Join) -> Option<Sources> {
    match join.join_type {
        JoinType::LeftSemi | JoinType::LeftAnti => sources(&join.left),
        JoinType::RightSemi | JoinType::RightAnti => sources(&join.right),
        JoinType::LeftMark | JoinType::RightMark => None,
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
            let mut found = sources(&join.left)?;
            found.extend(sources(&join.right)?);
            Some(found)
        }
    }
}

/// Columns are united by their places.
fn of_union(inputs: &[Arc<LogicalPlan>]) -> Option<Sources> {
    let mut inputs = inputs.iter().map(|input| sources(input));
    let mut found = inputs.next()??;
    for input in inputs {
        found.iter_mut().zip(input?).for_each(|(column, further)| column.extend(further));
    }
    Some(found)
}

fn of_expressions(expressions: &[Expr], input: &LogicalPlan, sources: &Sources) -> Option<Sources> {
    expressions.iter().map(|expression| of_expression(expression, input.schema(), sources)).collect()
}

fn of_expression(expression: &Expr, schema: &DFSchema, input: &Sources) -> Option<BTreeSet<SourceColumn>> {
    let mut found = Some(BTreeSet::new());
    let visited = expression.apply(|part| {
        let further = match part {
            Expr::Column(column) => column_of(column, schema, input),
            Expr::ScalarSubquery(subquery) => sources(&subquery.subquery).and_then(|mut columns| columns.pop()),
            // Whether something is there, not what it is.
            Expr::Exists(_) => Some(BTreeSet::new()),
            // Columns around a subquery, and what one expression makes several columns of.
            Expr::OuterReferenceColumn(..)
            | Expr::InSubquery(_)
            | Expr::SetComparison(_)
            | Expr::GroupingSet(_)
            | Expr::Unnest(_) => None,
            _ => Some(BTreeSet::new()),
        };
        match (&mut found, further) {
            (Some(found), Some(further)) => found.extend(further),
            _ => found = None,
        }
        Ok(TreeNodeRecursion::Continue)
    });
    visited.ok()?;
    found
}

fn column_of(column: &Column, schema: &DFSchema, input: &Sources) -> Option<BTreeSet<SourceColumn>> {
    input.get(schema.maybe_index_of_column(column)?).cloned()
}
