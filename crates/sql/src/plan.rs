//! From text to a plan that can only return rows.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

use crate::error::{SqlError, Subject};
use crate::session::SqlSession;
use crate::table::FileTable;

/// How many bytes in memory a byte of Parquet may become, as a cautious guess.
const DECODED_BYTES_PER_STORED_BYTE: u64 = 6;

/// A query ready to run, with the settings it shall run under.
pub(crate) struct Planned {
    pub(crate) subject: Subject,
    pub(crate) plan: LogicalPlan,
    pub(crate) state: SessionState,
    memory_limit: Option<usize>,
}

impl Planned {
    /// Starts the query.
    pub(crate) async fn start(&self) -> Result<SendableRecordBatchStream, SqlError> {
        let failed = |error: DataFusionError| self.failed(&error);
        let plan = self.state.create_physical_plan(&self.plan).await.map_err(failed)?;
        execute_stream(plan, self.state.task_ctx()).map_err(failed)
    }

    /// An error of the running query.
    pub(crate) fn failed(&self, error: &DataFusionError) -> SqlError {
        SqlError::running(&self.subject, error, self.memory_limit)
    }
}

impl SqlSession {
    /// Plans one query; with `explain`, the explanation of one too.
    pub(crate) async fn plan(&self, sql: &str, subject: Subject, explain: bool) -> Result<Planned, SqlError> {
        let failed = |error: DataFusionError| SqlError::planning(&subject, &error, &self.table_names());
        let mut statements =
            DFParserBuilder::new(sql).build().and_then(|mut parser| parser.parse_statements()).map_err(failed)?;
        let count = statements.len();
        let statement = match statements.pop_front() {
            Some(statement) if count == 1 => statement,
            _ => return Err(SqlError::StatementCount { subject, count }),
        };
        if !is_query(&statement, explain) {
            return Err(SqlError::NotAQuery { subject, statement: first_word(&statement.to_string()) });
        }
        let mut state = self.context.state();
        let plan = state.statement_to_plan(statement).await.map_err(failed)?;
        // A query may still hold a statement: SELECT ... INTO, WITH ... INSERT.
        let queries_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        if queries_only.verify_plan(&plan).is_err() {
            return Err(SqlError::NotAQuery { subject, statement: first_word(&plan.display().to_string()) });
        }
        if self.memory_limit.is_some_and(|limit| outgrows(&plan, limit)) {
            let partitions = state.config().target_partitions().max(2);
            let engine = state.config_mut().options_mut();
            // Hash joins cannot spill; sort-merge joins can, and need two partitions to be chosen.
            engine.optimizer.prefer_hash_join = false;
            engine.execution.target_partitions = partitions;
        }
        Ok(Planned { subject, plan, state, memory_limit: self.memory_limit })
    }
}

fn is_query(statement: &Statement, explain: bool) -> bool {
    match statement {
        Statement::Statement(inner) => matches!(**inner, SqlStatement::Query(_)),
        Statement::Explain(explained) => explain && is_query(&explained.statement, false),
        Statement::CreateExternalTable(_) | Statement::CopyTo(_) | Statement::Reset(_) => false,
    }
}

fn first_word(statement: &str) -> String {
    statement.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

/// Whether the tables the plan reads may not fit into the limit.
fn outgrows(plan: &LogicalPlan, limit: usize) -> bool {
    let mut bytes = 0_u64;
    let visited = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(table) = provider.downcast_ref::<FileTable>()
        {
            bytes = bytes.saturating_add(table.bytes());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    visited.is_err() || bytes.saturating_mul(DECODED_BYTES_PER_STORED_BYTE) > limit
}
