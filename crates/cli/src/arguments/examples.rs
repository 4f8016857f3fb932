//! What stands below the options in `--help`.

pub(super) const INIT: &str = "\
Example:
  medallion init site";

pub(super) const GENERATE: &str = "\
The profiles differ in size: customer-b writes about 390 MB, customer-j about 9 GB. With --scale 0.01 it is \
a hundredth of that.

Examples:
  medallion generate --profile reference --out exports/acme
  medallion generate --profile customer-b --scale 0.1 --seed 7 --out exports/globex";

pub(super) const RUN: &str = "\
Examples:
  medallion run -c acme                                  the customer of customers/acme.toml
  medallion run --all --jobs 8 --timeout 30m             every customer, from cron
  medallion run --all --shard 2/4 --canary acme          a quarter of them; acme first and alone
  medallion run --retry-failed                           those of the last fleet that are not done
  medallion run -c acme --source exports/acme --lake ./lake --as-of 2025-06-30
  medallion run -c acme -s layer:gold                    gold again, from what is published
  medallion run -c acme -s source:users+                 take in users and build what follows
  medallion run -c acme -s state:modified+ --exclude tag:history

Several customers run as a fleet: each in a process of its own, so that whatever happens to one happens to no other. \
What became of each stands in <lake>/_medallion/fleet/<fleet>/fleet_results.json.";

pub(super) const WATCH: &str = "\
Examples:
  medallion watch --all --settle 2m --interval 30s --jobs 4 --log-format json
  medallion watch -c acme --once";

pub(super) const PLAN: &str = "\
Examples:
  medallion plan -c acme
  medallion plan -c acme -s 'fact_*' --full-refresh
  medallion plan --all --format json";

pub(super) const LS: &str = "\
Examples:
  medallion ls -c acme
  medallion ls -c acme -s tag:pii --format csv
  medallion ls -c acme --release 12";

pub(super) const SHOW: &str = "\
Example:
  medallion show -c acme gold.dim_user";

pub(super) const QUERY: &str = "\
Examples:
  medallion query -c acme \"SELECT count(*) FROM gold.dim_user\"
  medallion query -c acme --release 12 --format csv \"SELECT * FROM silver.users\" > users.csv";

pub(super) const RELEASES: &str = "\
Example:
  medallion releases -c acme --format json";

pub(super) const RUNS: &str = "\
Example:
  medallion runs -c acme --format csv";

pub(super) const DIFF: &str = "\
Example:
  medallion diff -c acme 11 12";

pub(super) const ROLLBACK: &str = "\
Example:
  medallion rollback -c acme --to 11";

pub(super) const TEST: &str = "\
Examples:
  medallion test -c acme
  medallion test -c acme -s dim_user --samples failing";

pub(super) const VALIDATE: &str = "\
Example:
  medallion validate -c acme --counts expected.toml";

pub(super) const REJECTS: &str = "\
Example:
  medallion rejects -c acme silver.users --format json";

pub(super) const OPTIMIZE: &str = "\
Example:
  medallion optimize -c acme";

pub(super) const VACUUM: &str = "\
Example:
  medallion vacuum -c acme --keep-releases 30 --dry-run";

pub(super) const CUSTOMER: &str = "\
Examples:
  medallion customer add acme --source /srv/drop/acme --timezone Europe/Berlin
  medallion customer list
  medallion customer show acme
  medallion customer remove acme --keep-data";

pub(super) const CUSTOMER_ADD: &str = "\
Examples:
  medallion customer add acme --source /srv/drop/acme
  medallion customer add acme --source /srv/drop/acme --name 'Acme Ltd' --fiscal-year-start 7";

pub(super) const CUSTOMER_LIST: &str = "\
Example:
  medallion customer list --format csv";

pub(super) const CUSTOMER_SHOW: &str = "\
Example:
  medallion customer show acme";

pub(super) const CUSTOMER_REMOVE: &str = "\
Examples:
  medallion customer remove acme
  medallion customer remove acme --keep-data --yes";

pub(super) const DOCTOR: &str = "\
Examples:
  medallion doctor
  medallion doctor -c acme --stale-after 2d
  medallion doctor --format json";

pub(super) const COMPLETIONS: &str = "\
Examples:
  medallion completions bash > /etc/bash_completion.d/medallion
  medallion completions zsh > ~/.zfunc/_medallion
  medallion completions fish > ~/.config/fish/completions/medallion.fish";
