//! The board: verdict, blockers, gates, stack, running actions and pending actions.

mod alerts;
mod drift;
mod gates;
mod report;
mod stack;
mod todos;
mod verdict;
mod waivers;
mod work;

#[cfg(test)]
mod tests;

use domain::pages::Page;
use engine::view::BoardView;
use leptos::prelude::*;
use leptos_meta::Title;

use crate::ssr::page;
use crate::ui::Here;

pub use gates::gate_row;
pub(crate) use gates::satisfied_text;

/// The page of the board.
#[component]
pub fn BoardPage() -> impl IntoView {
    page(move |context| async move {
        let board = context.engine.board(context.actor()?).await?;
        Ok(board_view(&Here::from(&context), &board))
    })
}

/// The layout of the board.
pub fn board_view(here: &Here, board: &BoardView) -> AnyView {
    view! {
        <Title text=Page::Board.title() />
        <h1 class="visually-hidden">{format!("Board of {}", board.stack)}</h1>
        {report::head(board)}
        {alerts::alerts(here, board)}
        {todos::todos(board)}
        {verdict::banner(here, board)}
        {work::running(board)}
        {gate_row(&board.judgement.gates, None)}
        <div class="split">
            <div class="stack">
                {work::next(here, board)} {stack::services(board)} {work::recent(board)}
            </div>
            <div class="stack">
                {waivers::waivers(here, board)} {work::waiting(board)} {stack::release(here, board)}
            </div>
        </div>
        {report::gates(board)}
        {report::signatures(board)}
    }
    .into_any()
}
