//! Every route in one list, and the layers around them.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    routing::{MethodRouter, get, post},
};

use crate::{
    Api, Record, commands,
    guard::{self, Access},
    health, openapi,
    problem::Problem,
    sync, transfers, views,
};

/// One address, one method, and what answers.
pub struct Route {
    /// The method, in capitals.
    pub method: &'static str,
    /// The address, with its parameters in braces.
    pub path: &'static str,
    /// What answers.
    pub handler: MethodRouter<Api>,
}

/// Routes that one binary has besides those that both have, and their description.
#[derive(Default)]
pub struct More {
    /// The routes; all of them need the token.
    pub routes: Vec<Route>,
    /// Their `paths` and `components`, as an OpenAPI document in JSON; empty when there are none.
    pub description: &'static str,
}

/// Routes that need no token: they tell nothing of anybody.
fn open() -> Vec<Route> {
    vec![
        Route {
            method: "GET",
            path: "/healthz",
            handler: get(health::healthz),
        },
        Route {
            method: "GET",
            path: "/readyz",
            handler: get(health::readyz),
        },
        Route {
            method: "GET",
            path: "/metrics",
            handler: get(health::metrics),
        },
        Route {
            method: "GET",
            path: "/api/openapi.json",
            handler: get(openapi::get),
        },
    ]
}

/// Routes that need the token.
fn closed() -> Vec<Route> {
    vec![
        Route {
            method: "POST",
            path: "/api/v1/commands",
            handler: post(commands::post),
        },
        Route {
            method: "POST",
            path: "/api/v1/transfers",
            handler: post(transfers::post),
        },
        Route {
            method: "GET",
            path: "/api/v1/views/transfers",
            handler: get(transfers::view),
        },
        Route {
            method: "GET",
            path: "/api/v1/views/documents",
            handler: get(views::documents),
        },
        Route {
            method: "GET",
            path: "/api/v1/views/documents/{document}",
            handler: get(views::document),
        },
        Route {
            method: "GET",
            path: "/api/v1/views/conflicts",
            handler: get(views::conflicts),
        },
        Route {
            method: "GET",
            path: "/api/v1/views/tasks",
            handler: get(views::tasks),
        },
        Route {
            method: "GET",
            path: "/api/v1/documents/{file}",
            handler: get(views::export),
        },
        Route {
            method: "GET",
            path: "/api/v1/sync",
            handler: get(sync::get),
        },
    ]
}

/// The whole surface of a node.
///
/// From the outside in: bounds on number and time, the name and the page a request comes by, the
/// size of its body, the token, the route.
pub fn router(record: Arc<dyn Record>, access: Access, more: More) -> Router {
    let description = Arc::from(openapi::with(more.description));
    let bearer = from_fn_with_state(access.clone(), guard::bearer);
    let closed = add(Router::new(), closed());
    let closed = add(closed, more.routes).route_layer(bearer);
    add(closed, open())
        .fallback(|| async { Problem::no_route() })
        .method_not_allowed_fallback(|| async { Problem::wrong_method() })
        .layer(DefaultBodyLimit::max(commands::BODY_BYTES_MAX))
        .layer(from_fn_with_state(access.clone(), guard::place))
        .layer(from_fn_with_state(access, guard::bounds))
        .with_state(Api {
            record,
            description,
        })
}

fn add(router: Router<Api>, routes: Vec<Route>) -> Router<Api> {
    routes.into_iter().fold(router, |router, route| {
        router.route(route.path, route.handler)
    })
}

#[cfg(test)]
pub(crate) fn all() -> Vec<(&'static str, &'static str)> {
    open()
        .into_iter()
        .chain(closed())
        .map(|route| (route.method, route.path))
        .collect()
}
