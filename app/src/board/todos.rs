//! The to-dos of the signed-in user, at the top of the board.

use engine::view::{BoardView, Todo};
use leptos::prelude::*;

use crate::ui::{Icon, icon};

/// The list. Its element is always present, so that live updates can fill it.
pub(super) fn todos(board: &BoardView) -> AnyView {
    let body = (!board.todos.is_empty()).then(|| {
        let items = board.todos.iter().map(todo).collect_view();
        view! {
            <section class="todos" aria-labelledby="todos">
                <h2 class="todos__title" id="todos">{icon(Icon::Person)} " Waiting for you"</h2>
                <ul class="todos__list">{items}</ul>
            </section>
        }
    });
    view! { <div class="no-print" data-live="todos">{body}</div> }.into_any()
}

fn todo(todo: &Todo) -> AnyView {
    view! {
        <li class="todos__item">
            <a class="strong wrap" href=todo.href.clone()>{todo.what.clone()}</a>
            " "
            <span class="small muted wrap">{todo.why.clone()}</span>
        </li>
    }
    .into_any()
}
