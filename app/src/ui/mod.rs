//! Small components that all pages share. They only render their input and do not use the engine.

mod badge;
mod blocker;
mod evidence;
mod field;
mod form;
mod frame;
mod icon;
mod pager;
mod plot;
mod rollback;
mod run;
mod table;
mod text;

pub use badge::{badge, gate_badge, health_badge, item_badge, release_badge, run_badge, standing_badge};
pub use blocker::blocker_line;
pub use evidence::{check_line, expiry_line, finding, history_dots};
pub use field::{FieldAttributes, NOTICE_TEXT, field, hint_id, note_field, password_field, text_field};
pub use form::{
    choices, confirm, confirm_form, envelope, form_name, hidden, offer_button, post_button, random_key,
};
pub use frame::{Here, Place, card, empty, error_page, page_head, param};
pub use icon::{Icon, icon};
pub use pager::{cursor, pager};
pub use plot::trend_plot;
pub use rollback::{deploy_confirm, rollback_confirm, rollback_words, size};
pub use run::{follow_up_words, run_line, run_progress, run_table};
pub use table::{print_table, table, table_of};
pub(crate) use text::escaped;
pub use text::{chips, code_text, lines, roles, since, span, time, web_link};

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
pub(crate) mod snapshot;
#[cfg(test)]
mod tests;
