//! The icons, drawn for this product on a 16 by 16 grid. An icon always has a text beside it.

use leptos::prelude::*;

/// An icon's meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    /// Passed, met.
    Check,
    /// Failed, not met.
    Cross,
    /// Warning.
    Warning,
    /// Open, not done yet.
    Circle,
    /// Running.
    Spinner,
    /// Ready.
    Dot,
    /// Waived.
    Flag,
    /// A person or an attestation.
    Person,
    /// Stale or expired.
    Clock,
    /// Stopped or cancelled by a person.
    Stop,
    /// Run.
    Play,
    /// Roll back.
    Back,
    /// Deploy.
    Rocket,
    /// Started, next.
    Arrow,
    /// Opens the menu.
    Menu,
    /// The logo of the product.
    Gate,
}

impl Icon {
    fn path(self) -> &'static str {
        match self {
            Icon::Check => "m3 8.5 3.2 3.2L13 4.8",
            Icon::Cross => "m4 4 8 8m0-8-8 8",
            Icon::Warning => "M8 2.2 14.6 13.6H1.4ZM8 6.4v3.4m0 1.7v.4",
            Icon::Circle => "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11Z",
            Icon::Spinner => "M13.5 8A5.5 5.5 0 1 1 8 2.5",
            Icon::Dot => {
                "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11Zm0 4.4a1.1 1.1 0 1 0 0 2.2 1.1 1.1 0 0 0 0-2.2Z"
            }
            Icon::Flag => "M3.5 14V2.5h8.8L10.4 6l1.9 3.5H3.5",
            Icon::Person => {
                "M8 8.2a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6Zm-5.2 5.6c.5-2.6 2.6-4 5.2-4s4.7 1.4 5.2 4"
            }
            Icon::Clock => "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11ZM8 5v3.2l2.2 1.5",
            Icon::Stop => "M4 4h8v8H4Z",
            Icon::Play => "M5 3.2 12.4 8 5 12.8Z",
            Icon::Back => "M6.2 3.2 2.8 6.6 6.2 10M3 6.6h6.4a3.6 3.6 0 0 1 0 7.2H7",
            Icon::Rocket => "M8 13.6V5.2M4.4 8.2 8 4.4l3.6 3.8M3.4 2.2h9.2",
            Icon::Arrow => "M3 8h9.4M8.8 4.2 12.6 8l-3.8 3.8",
            Icon::Menu => "M2.5 4h11M2.5 8h11M2.5 12h11",
            Icon::Gate => "M3.2 14V3M12.8 14V3M3.2 5h9.6M5.6 9.6l1.8 1.8L11 7.8",
        }
    }
}

/// The icon as SVG, hidden from screen readers, because the text beside it has the same meaning.
pub fn icon(which: Icon) -> AnyView {
    let spin = if which == Icon::Spinner { "icon icon--spin" } else { "icon" };
    view! {
        <svg
            class=spin
            viewBox="0 0 16 16"
            fill="none"
            stroke="currentColor"
            stroke-width="1.8"
            stroke-linecap="round"
            stroke-linejoin="round"
            aria-hidden="true"
            focusable="false"
        >
            <path d=which.path()></path>
        </svg>
    }
    .into_any()
}
