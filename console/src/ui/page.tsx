/** The frame of a page: its heading, its actions, and the title of the window. */

import { useEffect, type ReactNode } from "react";

type PageProps = { title: string; above?: ReactNode; actions?: ReactNode; children: ReactNode };

export function PageFrame({ title, above, actions, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · Mainstay`;
  }, [title]);
  return (
    <>
      <header className="page-head">
        <div>
          {above && <p className="above">{above}</p>}
          <h1 tabIndex={-1}>{title}</h1>
        </div>
        {actions && <div className="actions">{actions}</div>}
      </header>
      {children}
    </>
  );
}

export function Card({ title, actions, children }: { title: string; actions?: ReactNode; children: ReactNode }) {
  return (
    <section className="card">
      <header><h2 tabIndex={-1}>{title}</h2>{actions}</header>
      {children}
    </section>
  );
}

/** The placeholder of a page that is loading, of about its size. */
export function Skeleton({ lines = 6 }: { lines?: number }) {
  return <div className="skeletons" aria-busy="true">{Array.from({ length: lines }, (_, index) => <span className="skeleton" key={index} />)}</div>;
}
